"""Signals to an order, which do not wait for the outcome."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fake_workflows import MAX_ADDRESS_CHANGES
from gateway_harness import WHOLE_ADDRESS, Eventually, Record, Serve
from temporalio.client import Client, WorkflowHandle

from fuze_contracts.address import Address
from fuze_contracts.order import OrderWorkflow, PlaceOrder
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway.orders import workflow_client

SMALL = {"address": {"zip_code": "10001"}}
BODIES = {"approve": None, "cancel": None, "change-address": {"address": WHOLE_ADDRESS}}


async def place(http: httpx.AsyncClient, order_id: UUID, line1: str = "1 Main Street") -> None:
    response = await http.post(
        f"/orders/{order_id}/start", json={"address": {"zip_code": "10001", "line1": line1}}
    )
    assert response.status_code == 202


async def send(http: httpx.AsyncClient, order_id: UUID, signal: str) -> httpx.Response:
    return await http.post(f"/orders/{order_id}/signals/{signal}", json=BODIES[signal])


@pytest.mark.parametrize("signal", BODIES)
async def test_a_running_order_accepts_a_signal(
    gateway: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    await place(gateway, order_id)

    response = await send(gateway, order_id, signal)

    assert response.status_code == 202
    assert response.json() == {
        "order_id": str(order_id),
        "accepted": True,
        "signal": signal,
        "status_url": f"/orders/{order_id}/status",
    }


@pytest.mark.parametrize("signal", ["approve", "cancel"])
async def test_a_signal_without_required_fields_needs_no_body_and_no_content_type(
    gateway: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    await place(gateway, order_id)

    assert (await gateway.post(f"/orders/{order_id}/signals/{signal}")).status_code == 202


@pytest.mark.parametrize("signal", BODIES)
async def test_a_signal_to_an_unknown_order_is_not_found(
    gateway: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    response = await send(gateway, order_id, signal)

    assert response.status_code == 404
    assert response.json()["type"] == "/problems/order-not-found"


@pytest.mark.parametrize("signal", BODIES)
async def test_a_signal_to_a_closed_order_is_a_conflict(
    gateway: httpx.AsyncClient, order_id: UUID, eventually: Eventually, signal: str
) -> None:
    await place(gateway, order_id)
    await send(gateway, order_id, "approve")

    async def is_rejected() -> bool:
        return (await send(gateway, order_id, signal)).status_code == 409

    await eventually(is_rejected)


async def test_an_order_after_temporals_retention_is_closed_not_unknown(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id, status="shipped")

    response = await send(gateway, order_id, "approve")

    assert (response.status_code, response.json()["type"]) == (409, "/problems/order-closed")


@pytest.mark.parametrize("path", ["cancel", "signals/cancel"])
async def test_a_cancelled_order_that_is_cancelled_again_is_already_cancelled(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID, path: str
) -> None:
    await record(order_id, status="cancelled")

    response = await gateway.post(f"/orders/{order_id}/{path}")

    assert (response.status_code, response.json()["type"]) == (409, "/problems/already-cancelled")


@pytest.mark.parametrize("path", ["cancel", "signals/cancel"])
async def test_the_cancellation_of_a_shipped_order_says_to_refund_it(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID, path: str
) -> None:
    await record(order_id, status="shipped")

    response = await gateway.post(f"/orders/{order_id}/{path}")

    assert (response.status_code, response.json()["type"]) == (409, "/problems/too-late-to-cancel")
    assert f"refund it: POST /orders/{order_id}/refunds" in response.json()["detail"]


async def test_the_new_address_reaches_the_order(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    await place(gateway, order_id)
    await send(gateway, order_id, "change-address")

    status = (await gateway.get(f"/orders/{order_id}/status")).json()

    assert status["reason"] == "94105"  # the fake workflow reports its postal code there


async def test_a_signal_that_the_order_would_drop_is_a_conflict(
    gateway: httpx.AsyncClient, temporal: Client, order_id: UUID
) -> None:
    await place(gateway, order_id)

    responses = [await send(gateway, order_id, "change-address") for _ in range(10)]

    codes = [response.status_code for response in responses]
    assert codes == [202] * MAX_ADDRESS_CHANGES + [409] * (10 - MAX_ADDRESS_CHANGES)
    assert responses[-1].json()["type"] == "/problems/address-change-limit"
    order = temporal.get_workflow_handle(order_workflow_id(order_id))
    assert await count_signals(order) == MAX_ADDRESS_CHANGES


async def test_a_flood_of_signals_stops_where_the_order_drops_them(
    gateway: httpx.AsyncClient, temporal: Client, order_id: UUID
) -> None:
    await place(gateway, order_id)

    responses = await asyncio.gather(
        *(send(gateway, order_id, "change-address") for _ in range(100))
    )

    assert {response.status_code for response in responses} == {202, 409}
    order = temporal.get_workflow_handle(order_workflow_id(order_id))
    assert await count_signals(order) <= MAX_ADDRESS_CHANGES + 1  # two are in flight at once


async def test_signals_without_a_worker_are_accepted_while_the_history_is_short(
    serve: Serve, temporal: Client, order_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow_client, "_MAX_HISTORY_LENGTH_WITHOUT_WORKER", 5)
    order = await temporal.start_workflow(
        OrderWorkflow.run,
        PlaceOrder(
            order_id=order_id,
            address=Address(country="US", postal_code="10001"),
            fingerprint="none",
            payment_token=f"{order_id}:1",
        ),
        id=order_workflow_id(order_id),
        task_queue="queue-without-a-worker",
    )
    async with serve(read_timeout=timedelta(seconds=0.3)) as http:
        codes = [(await send(http, order_id, "approve")).status_code for _ in range(6)]

    assert codes == [202] * 4 + [503] * 2
    assert await count_signals(order) == 4


async def count_signals(order: WorkflowHandle[Any, Any]) -> int:
    events = (await order.fetch_history()).events
    return sum(event.HasField("workflow_execution_signaled_event_attributes") for event in events)


@pytest.mark.parametrize("signal", BODIES)
async def test_a_signal_is_unavailable_without_temporal(
    without_temporal: httpx.AsyncClient, order_id: UUID, signal: str
) -> None:
    response = await send(without_temporal, order_id, signal)

    assert response.status_code == 503
    assert response.headers["retry-after"]
