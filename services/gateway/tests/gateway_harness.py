"""The types of the shared fixtures, the credentials of a request, and an address."""

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

WHOLE_ADDRESS = {
    "country": "US",
    "name": "Ada Lovelace",
    "line1": "1 Market Street",
    "city": "San Francisco",
    "region": "CA",
    "postal_code": "94105",
}
"""An address that an order can change to."""


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
