"""The types of the shared fixtures, and what a browser without JavaScript does."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import httpx

from fuze_gateway.auth.principals import Role

PUBLIC_URL = "http://console.test"

ServeConsole = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
"""Serve a console, whose gateway has any settings, and return a browser without JavaScript."""

MakeKey = Callable[[Role], Awaitable[str]]
"""Create an API key of a role."""


def get_csrf_token(page: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


async def submit(
    http: httpx.AsyncClient, path: str, form: dict[str, str], *, at: str = "/sign-in"
) -> httpx.Response:
    """Fill the form of a page, and send it as a browser does."""
    token = get_csrf_token(await http.get(at))
    return await http.post(path, data=form | {"csrf_token": token}, headers={"Origin": PUBLIC_URL})


async def sign_in(http: httpx.AsyncClient, make_key: MakeKey, role: Role) -> None:
    """Sign in with a new key of the role."""
    await submit(http, "/sign-in", {"api_key": await make_key(role)})


async def insert_row(owner: asyncpg.Connection, table: str, row: Mapping[str, Any]) -> None:
    """Insert a row, as the service that owns the table would."""
    marks = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    await owner.execute(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})",  # noqa: S608 - of a test
        *row.values(),
    )
