"""The timeout of writes."""

from datetime import timedelta
from uuid import UUID

from gateway_harness import Serve
from temporalio.client import Client


async def test_a_slow_write_is_unavailable_at_the_timeout(
    serve: Serve, no_temporal: Client, order_id: UUID
) -> None:
    async with serve(client=no_temporal, request_timeout=timedelta(seconds=0.05)) as http:
        response = await http.post(f"/orders/{order_id}/approve")

    assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable")
