"""Starting an order under the caller's own id."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from gateway_harness import Record, Serve
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from fuze_contracts.order import OrderWorkflow, PlaceOrder
from fuze_contracts.search_attributes import ORDER_STATUS
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway.database import Database
from fuze_gateway.settings import GatewaySettings
from fuze_runtime.payload_encryption import DEVELOPMENT_KEY
from fuze_runtime.temporal import build_data_converter
from fuze_testing.temporal import add_search_attributes

SMALL = {"address": {"zip_code": "10001"}}
FULL = {
    "customer": "ada@example.com",
    "lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999}],
    "currency": "USD",
    "payment_method": "pm_card_visa",
    "address": {"zip_code": "10001", "name": "Ada Lovelace", "city": "New York"},
}


async def start(http: httpx.AsyncClient, order_id: UUID, body: dict[str, Any]) -> httpx.Response:
    return await http.post(f"/orders/{order_id}/start", json=body)


async def test_a_new_order_is_accepted_with_the_url_of_its_status(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    response = await start(gateway, order_id, SMALL)

    assert response.status_code == 202
    assert response.headers["location"] == f"/orders/{order_id}/status"
    assert "idempotent-replayed" not in response.headers
    assert response.json() == {
        "order_id": str(order_id),
        "workflow_id": f"order/{order_id}",
        "status": "received",
        "status_url": f"/orders/{order_id}/status",
    }


async def test_the_workflow_is_started_with_the_whole_order(
    gateway: httpx.AsyncClient, temporal: Client, order_id: UUID
) -> None:
    await start(gateway, order_id, FULL)

    handle = temporal.get_workflow_handle(order_workflow_id(order_id))
    history = await handle.fetch_history()
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    [order] = await temporal.data_converter.decode(payloads, [PlaceOrder])
    assert str(order.total) == "59.97 USD"
    assert order.customer == "ada@example.com"
    assert order.payment_token == f"{order_id}:1"
    assert order.approval_timeout.days == 7
    assert order.address.name == "Ada Lovelace"


async def test_the_workflow_has_a_summary_and_details_for_operators(
    gateway: httpx.AsyncClient, temporal: Client, order_id: UUID
) -> None:
    await start(gateway, order_id, FULL)

    description = await temporal.get_workflow_handle(order_workflow_id(order_id)).describe()
    assert await description.static_summary() == "3 items, 59.97 USD"
    assert await description.static_details() == "- 3 x `TEAPOT-1`"


async def test_with_search_attributes_an_order_is_refused_until_they_exist(
    serve: Serve, temporal: Client, order_id: UUID
) -> None:
    async with serve(search_attributes=True) as http:
        refused = await start(http, order_id, SMALL)
        await add_search_attributes(temporal)
        async with asyncio.timeout(20):
            while (accepted := await start(http, order_id, SMALL)).status_code == 503:
                await asyncio.sleep(0.1)

    assert refused.status_code == 503
    assert (accepted.status_code, accepted.headers.get("idempotent-replayed")) == (202, None)
    description = await temporal.get_workflow_handle(order_workflow_id(order_id)).describe()
    assert description.typed_search_attributes[ORDER_STATUS] == "received"


async def test_a_repeated_request_has_the_same_response(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    first = await start(gateway, order_id, FULL)
    second = await start(gateway, order_id, FULL)

    assert second.status_code == 202
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json() == first.json()


async def test_a_repeated_request_may_include_defaults_and_reorder_fields(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await start(gateway, order_id, FULL)
    spelled_out = dict(reversed(FULL.items())) | {
        "order_id": str(order_id).upper(),
        "payment_token": f"{order_id}:1",
        "address": {**FULL["address"], "country": "US", "line2": None},
    }

    assert (await start(gateway, order_id, spelled_out)).status_code == 202


async def test_a_different_request_under_the_same_id_is_a_conflict(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await start(gateway, order_id, FULL)

    response = await start(gateway, order_id, FULL | {"customer": "eve@example.com"})

    assert response.status_code == 409
    assert response.json()["type"] == "/problems/order-already-exists"


async def test_replays_and_conflicts_are_distinguished_without_postgresql(
    without_database: httpx.AsyncClient, order_id: UUID
) -> None:
    assert (await start(without_database, order_id, FULL)).status_code == 202
    replay = await start(without_database, order_id, FULL)
    assert (replay.status_code, replay.headers["idempotent-replayed"]) == (202, "true")
    assert (await start(without_database, order_id, SMALL)).status_code == 409


async def test_a_gateway_without_the_key_of_an_earlier_request_is_unavailable(
    serve: Serve, temporal: Client, order_id: UUID
) -> None:
    def connect(keys: SecretStr | None) -> Client:
        return Client(temporal.service_client, data_converter=build_data_converter(keys))

    async with serve(client=connect(SecretStr(DEVELOPMENT_KEY))) as http:
        assert (await start(http, order_id, FULL)).status_code == 202
    async with serve(client=connect(None)) as http:
        assert (await start(http, order_id, FULL)).status_code == 503


async def test_the_row_prevents_a_duplicate_after_temporals_retention(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id, status="shipped", fingerprint="of a different request")

    assert (await start(gateway, order_id, SMALL)).status_code == 409


async def test_a_replay_is_detected_from_the_row_without_temporal(
    gateway: httpx.AsyncClient,
    without_temporal: httpx.AsyncClient,
    temporal: Client,
    record: Record,
    order_id: UUID,
) -> None:
    await start(gateway, order_id, FULL)
    handle = temporal.get_workflow_handle(order_workflow_id(order_id))
    fingerprint = (await (await handle.describe()).memo())["fingerprint"]
    await record(order_id, fingerprint=fingerprint)

    replay = await start(without_temporal, order_id, FULL)

    assert (replay.status_code, replay.headers["idempotent-replayed"]) == (202, "true")


async def test_a_workflow_without_a_fingerprint_is_a_conflict(
    gateway: httpx.AsyncClient, temporal: Client, order_id: UUID
) -> None:
    await temporal.start_workflow(
        OrderWorkflow.run, id=order_workflow_id(order_id), task_queue="queue-without-a-worker"
    )

    assert (await start(gateway, order_id, SMALL)).status_code == 409


async def test_a_new_order_is_not_accepted_without_temporal(
    without_temporal: httpx.AsyncClient, order_id: UUID
) -> None:
    response = await start(without_temporal, order_id, SMALL)

    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0


async def test_two_silent_upstreams_take_no_longer_than_one_timeout(
    serve: Serve, settings: GatewaySettings, silent_port: int, order_id: UUID
) -> None:
    limit = timedelta(seconds=1)
    url = f"postgresql+asyncpg://gateway@127.0.0.1:{silent_port}/nothing"
    silent = Database(settings.model_copy(update={"database_url": SecretStr(url)}), "silent", limit)
    temporal = await Client.connect(
        f"127.0.0.1:{silent_port}", lazy=True, data_converter=pydantic_data_converter
    )
    async with serve(pool=silent, client=temporal, read_timeout=limit) as gateway:
        started_at = asyncio.get_running_loop().time()

        response = await start(gateway, order_id, SMALL)

        assert response.status_code == 503
        assert asyncio.get_running_loop().time() - started_at < 1.5 * limit.total_seconds()
    await silent.aclose()


async def test_an_upper_case_id_is_the_same_order(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    response = await gateway.post(f"/orders/{str(order_id).upper()}/start", json=SMALL)

    assert response.json()["order_id"] == str(order_id)
