"""Placing an order."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from stand_in import Serve
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from fuze_contracts.order import OrderWorkflow, PlaceOrder
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway.database import Database
from fuze_gateway.settings import GatewaySettings

Record = Callable[..., Awaitable[None]]

SMALL = {"address": {"zip_code": "10001"}}
FULL = {
    "customer": "ada@example.com",
    "lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price": 1999}],
    "currency": "USD",
    "payment_method": "pm_card_visa",
    "address": {"zip_code": "10001", "name": "Ada Lovelace", "city": "New York"},
}


async def start(http: httpx.AsyncClient, order_id: UUID, body: dict[str, Any]) -> httpx.Response:
    return await http.post(f"/orders/{order_id}/start", json=body)


async def test_a_new_order_is_accepted_and_says_where_to_follow_it(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    answer = await start(gateway, order_id, SMALL)

    assert answer.status_code == 202
    assert answer.headers["location"] == f"/orders/{order_id}/status"
    assert "idempotent-replayed" not in answer.headers
    assert answer.json() == {
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


async def test_an_operator_reads_the_order_in_the_workflow_list(
    gateway: httpx.AsyncClient, temporal: Client, order_id: UUID
) -> None:
    await start(gateway, order_id, FULL)

    description = await temporal.get_workflow_handle(order_workflow_id(order_id)).describe()
    assert await description.static_summary() == "3 items, 59.97 USD"
    assert await description.static_details() == "- 3 x `TEAPOT-1`"


async def test_a_repeat_of_the_same_request_is_answered_the_same(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    first = await start(gateway, order_id, FULL)
    second = await start(gateway, order_id, FULL)

    assert second.status_code == 202
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json() == first.json()


async def test_a_repeat_may_spell_out_defaults_and_reorder_fields(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await start(gateway, order_id, FULL)
    spelled_out = dict(reversed(FULL.items())) | {
        "order_id": str(order_id).upper(),
        "payment_token": f"{order_id}:1",
        "address": {**FULL["address"], "country": "US", "line2": None},
    }

    assert (await start(gateway, order_id, spelled_out)).status_code == 202


async def test_another_request_under_the_same_id_is_a_conflict(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await start(gateway, order_id, FULL)

    answer = await start(gateway, order_id, FULL | {"customer": "eve@example.com"})

    assert answer.status_code == 409
    assert answer.json()["type"] == "/problems/order-already-exists"


async def test_repeats_and_conflicts_are_told_apart_without_postgresql(
    without_database: httpx.AsyncClient, order_id: UUID
) -> None:
    assert (await start(without_database, order_id, FULL)).status_code == 202
    repeat = await start(without_database, order_id, FULL)
    assert (repeat.status_code, repeat.headers["idempotent-replayed"]) == (202, "true")
    assert (await start(without_database, order_id, SMALL)).status_code == 409


async def test_the_row_guards_an_order_that_temporal_no_longer_keeps(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id, status="shipped", fingerprint="of another request")

    assert (await start(gateway, order_id, SMALL)).status_code == 409


async def test_a_repeat_is_recognised_by_the_row_alone(
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

    repeat = await start(without_temporal, order_id, FULL)

    assert (repeat.status_code, repeat.headers["idempotent-replayed"]) == (202, "true")


async def test_a_workflow_that_somebody_else_started_is_a_conflict(
    gateway: httpx.AsyncClient, temporal: Client, order_id: UUID
) -> None:
    await temporal.start_workflow(
        OrderWorkflow.run, id=order_workflow_id(order_id), task_queue="nobody"
    )

    assert (await start(gateway, order_id, SMALL)).status_code == 409


async def test_without_temporal_a_new_order_is_not_accepted(
    without_temporal: httpx.AsyncClient, order_id: UUID
) -> None:
    answer = await start(without_temporal, order_id, SMALL)

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


async def test_two_sources_that_do_not_answer_take_no_longer_than_one(
    serve: Serve, settings: GatewaySettings, silent_port: int, order_id: UUID
) -> None:
    limit = timedelta(seconds=1)
    url = f"postgresql+asyncpg://nobody@127.0.0.1:{silent_port}/nothing"
    silent = Database(settings.model_copy(update={"database_url": url}), "silent", limit)
    temporal = await Client.connect(
        f"127.0.0.1:{silent_port}", lazy=True, data_converter=pydantic_data_converter
    )
    async with serve(given=silent, client=temporal, read_timeout=limit) as gateway:
        began = asyncio.get_running_loop().time()

        answer = await start(gateway, order_id, SMALL)

        assert answer.status_code == 503
        assert asyncio.get_running_loop().time() - began < 1.5 * limit.total_seconds()
    await silent.aclose()


async def test_an_upper_case_id_is_the_same_order(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    answer = await gateway.post(f"/orders/{str(order_id).upper()}/start", json=SMALL)

    assert answer.json()["order_id"] == str(order_id)


@pytest.mark.parametrize("zip_code", ["", "not a zip code", "1" * 64])
async def test_the_zip_code_is_left_to_the_order_to_judge(
    gateway: httpx.AsyncClient, order_id: UUID, zip_code: str
) -> None:
    assert (await start(gateway, order_id, {"address": {"zip_code": zip_code}})).status_code == 202
