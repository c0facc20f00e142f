"""The types of the shared fixtures, and the credentials of a request."""

import contextlib
from collections.abc import Awaitable, Callable

import httpx

Serve = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]
"""Serve the gateway with any database, client and settings for the length of a block."""

MakeKey = Callable[..., Awaitable[str]]
"""Create an API key of a role."""

Record = Callable[..., Awaitable[None]]
"""Insert an order and its events."""

Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
"""Wait for a condition in another process."""


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
