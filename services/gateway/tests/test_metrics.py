"""The metrics of the gateway: requests by route, event streams, connections."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from gateway_harness import Serve
from temporalio.client import Client

from fuze_gateway.database import Database
from fuze_gateway.settings import GatewaySettings
from fuze_runtime import temporal as runtime


@pytest.fixture
def metrics_address() -> str:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
async def client(temporal: Client, metrics_address: str, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client whose process serves metrics."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal.service_client.config.target_host)
    timeout = timedelta(seconds=5)
    return await runtime.connect(metrics_address=metrics_address, connect_timeout=timeout)


async def scrape(address: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(f"http://{address}/metrics")).text


async def test_requests_are_counted_by_route_template_and_status(
    serve: Serve,
    client: Client,
    metrics_address: str,
    order_id: UUID,
    record: Callable[..., Awaitable[None]],
) -> None:
    await record(order_id)
    async with serve(client=client, metrics_address=metrics_address) as http:
        await http.get(f"/orders/{order_id}")
        await http.get("/no-such-path")
        await http.request("BREW", f"/orders/{order_id}")
        await http.post(f"/orders/{order_id}")

    page = await scrape(metrics_address)
    counted = re.findall(
        r"^fuze_http_request_duration_seconds_count\{(.*)\} (\d+)", page, re.MULTILINE
    )
    assert {tuple(sorted(labels.split(","))): int(count) for labels, count in counted} == {
        ('method="GET"', 'route="/orders/{order_id}"', 'status="200"'): 1,
        ('method="GET"', 'route="unmatched"', 'status="404"'): 1,
        ('method="other"', 'route="/orders/{order_id}"', 'status="405"'): 1,
        ('method="POST"', 'route="/orders/{order_id}"', 'status="405"'): 1,
    }
    assert str(order_id) not in page


async def test_streams_and_connections_are_gauges(
    serve: Serve, client: Client, metrics_address: str, settings: GatewaySettings
) -> None:
    async with serve(client=client, metrics_address=metrics_address) as http:
        await http.get("/livez")
        page = await scrape(metrics_address)

    lines = page.splitlines()
    assert "fuze_event_streams_open 0" in lines
    assert f"fuze_database_pool_size {settings.database_pool_size}" in lines
    assert "fuze_database_pool_in_use 0" in lines


async def test_the_pool_counts_who_has_a_connection_and_who_waits(
    settings: GatewaySettings,
) -> None:
    alone = settings.model_copy(update={"database_pool_size": 1})
    database = Database(alone, "fuze-gateway-tests", timedelta(seconds=5))

    async with database.transaction():
        waiting = database.transaction()
        task = asyncio.create_task(waiting.__aenter__())
        await asyncio.sleep(0)
        assert (database.in_use, database.waiting) == (1, 1)
    await task
    await waiting.__aexit__(None, None, None)

    assert (database.in_use, database.waiting) == (0, 0)
    await database.aclose()
