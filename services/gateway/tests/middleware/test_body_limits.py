"""The limits on the size and the duration of request bodies."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import httpx
from gateway_harness import Serve

_JSON = {"Content-Type": "application/json"}


async def test_a_body_above_the_limit_is_rejected(gateway: httpx.AsyncClient) -> None:
    response = await gateway.post(f"/orders/{uuid4()}/start", content=b" " * 5000, headers=_JSON)

    assert (response.status_code, response.json()["type"]) == (413, "/problems/body-too-large")


async def test_a_chunked_body_above_the_limit_is_rejected(gateway: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b" " * 1000

    response = await gateway.post(f"/orders/{uuid4()}/start", content=chunks(), headers=_JSON)

    assert (response.status_code, response.json()["type"]) == (413, "/problems/body-too-large")


async def test_a_content_length_of_many_digits_is_rejected(gateway: httpx.AsyncClient) -> None:
    headers = _JSON | {"Content-Length": "0" * 5000 + "2"}

    response = await gateway.post(f"/orders/{uuid4()}/start", content=b"{}", headers=headers)

    assert (response.status_code, response.json()["type"]) == (400, "/problems/malformed-request")


async def test_a_slow_body_is_rejected_at_the_timeout(serve: Serve) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"address": '
        await asyncio.Event().wait()

    async with serve(body_timeout=timedelta(seconds=0.05)) as http:
        response = await http.post(f"/orders/{uuid4()}/start", content=chunks(), headers=_JSON)

    assert (response.status_code, response.json()["type"]) == (408, "/problems/request-timeout")
