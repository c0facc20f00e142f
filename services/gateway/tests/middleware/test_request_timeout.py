"""The timeout of writes."""

import asyncio
import contextlib
from datetime import timedelta
from uuid import UUID

import httpx
from gateway_harness import Serve
from starlette.types import Receive, Scope, Send
from temporalio.client import Client

from fuze_gateway.middleware.request_timeout import RequestTimeoutMiddleware


async def test_a_slow_write_is_unavailable_at_the_timeout(
    serve: Serve, no_temporal: Client, order_id: UUID
) -> None:
    async with serve(client=no_temporal, request_timeout=timedelta(seconds=0.05)) as http:
        response = await http.post(f"/orders/{order_id}/approve")

    assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable")


async def test_an_application_that_responds_to_its_cancellation_is_not_interrupted() -> None:
    async def application(_scope: Scope, _receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"own response"})

    limited = RequestTimeoutMiddleware(application, timeout=timedelta(seconds=0.01))
    transport = httpx.ASGITransport(limited)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        response = await http.post("/")

    assert (response.status_code, response.text) == (503, "own response")
