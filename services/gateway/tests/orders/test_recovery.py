"""An open order without a workflow: what commands answer, and how it is recovered."""

from uuid import UUID, uuid4

import httpx
import pytest
from gateway_harness import Record
from temporalio.client import Client

from fuze_contracts.order import CancelOrder, OrderWorkflow, PlaceOrder
from fuze_contracts.workflow_ids import order_workflow_id


async def lose_workflow(temporal: Client, order_id: UUID) -> None:
    await temporal.get_workflow_handle(order_workflow_id(order_id)).terminate("by mistake")


async def read_input(temporal: Client, order_id: UUID) -> PlaceOrder:
    history = await temporal.get_workflow_handle(order_workflow_id(order_id)).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    [order] = await temporal.data_converter.decode(started.input.payloads, [PlaceOrder])
    return PlaceOrder.model_validate(order)


async def start(http: httpx.AsyncClient, order_id: UUID) -> httpx.Response:
    return await http.post(f"/orders/{order_id}/start", json={"address": {"zip_code": "10001"}})


@pytest.fixture
async def lost_order(record: Record, order_id: UUID) -> UUID:
    """An order that awaits approval in PostgreSQL, and has no workflow."""
    await record(order_id, status="awaiting_approval")
    return order_id


@pytest.mark.parametrize("command", ["approve", "cancel", "signals/approve"])
async def test_a_command_to_an_open_order_without_a_workflow_says_so(
    gateway: httpx.AsyncClient, lost_order: UUID, command: str
) -> None:
    response = await gateway.post(f"/orders/{lost_order}/{command}")

    assert response.status_code == 409
    assert response.json()["type"] == "/problems/workflow-missing"
    assert f"/orders/{lost_order}/recover" in response.json()["detail"]


async def test_a_recovery_starts_the_workflow_from_the_row(
    gateway: httpx.AsyncClient, temporal: Client, lost_order: UUID
) -> None:
    response = await gateway.post(f"/orders/{lost_order}/recover", json={"actor": "grace"})

    assert response.status_code == 202
    order = await read_input(temporal, lost_order)
    assert order.recovery is not None
    assert (order.recovery.actor, order.payment_token) == ("grace", "token")


async def test_a_recovery_of_a_terminated_workflow_starts_another_run(
    gateway: httpx.AsyncClient, temporal: Client, record: Record, order_id: UUID
) -> None:
    await start(gateway, order_id)
    await record(order_id, status="awaiting_approval")
    await lose_workflow(temporal, order_id)

    response = await gateway.post(f"/orders/{order_id}/recover")

    assert response.status_code == 202
    assert (await gateway.post(f"/orders/{order_id}/approve")).status_code == 200


async def test_a_recovery_can_cancel_the_order_in_the_same_message(
    gateway: httpx.AsyncClient, temporal: Client, lost_order: UUID
) -> None:
    """With a signal of its own, the order could go on before it came."""
    request = {"then": "cancel", "actor": "grace", "reason": "fraud"}

    response = await gateway.post(f"/orders/{lost_order}/recover", json=request)

    assert response.status_code == 202
    order = await read_input(temporal, lost_order)
    assert order.recovery is not None
    assert order.recovery.cancellation == CancelOrder(actor="grace", reason="fraud")


async def test_a_running_order_is_not_recovered(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await start(gateway, order_id)
    await record(order_id, status="awaiting_approval")

    response = await gateway.post(f"/orders/{order_id}/recover")

    assert response.status_code == 409
    assert response.json()["type"] == "/problems/workflow-running"


async def test_an_order_that_has_ended_is_not_recovered(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id, status="cancelled")

    response = await gateway.post(f"/orders/{order_id}/recover")

    assert response.status_code == 409
    assert response.json()["type"] == "/problems/order-closed"


async def test_an_unknown_order_is_not_recovered(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    response = await gateway.post(f"/orders/{order_id}/recover")

    assert response.status_code == 404


async def test_a_repeated_start_of_an_order_without_a_workflow_recovers_it(
    gateway: httpx.AsyncClient, temporal: Client, record: Record, order_id: UUID
) -> None:
    await start(gateway, order_id)
    handle = temporal.get_workflow_handle_for(OrderWorkflow.run, order_workflow_id(order_id))
    fingerprint = (await (await handle.describe()).memo())["fingerprint"]
    await record(order_id, status="awaiting_approval", fingerprint=fingerprint)
    await lose_workflow(temporal, order_id)

    repeated = await start(gateway, order_id)

    assert (repeated.status_code, repeated.headers["Idempotent-Replayed"]) == (202, "true")
    assert (await gateway.post(f"/orders/{order_id}/approve")).status_code == 200


async def test_many_orders_are_recovered_and_each_has_its_own_result(
    gateway: httpx.AsyncClient, temporal: Client, record: Record
) -> None:
    lost, unknown = [uuid4(), uuid4()], uuid4()
    for order_id in lost:
        await record(order_id, status="awaiting_approval")
    request = {"order_ids": [str(one) for one in [*lost, unknown]], "actor": "grace"}

    response = await gateway.post("/orders/bulk/recover", json=request)

    body = response.json()
    assert (response.status_code, body["succeeded"], body["failed"]) == (200, 2, 1)
    assert [one["order_id"] for one in body["results"]] == request["order_ids"]
    assert body["results"][0]["order"]["status"] == "awaiting_approval"
    assert body["results"][2]["problem"]["type"] == "/problems/order-not-found"
    for order_id in lost:
        assert (await read_input(temporal, order_id)).recovery is not None


async def test_many_orders_are_cancelled_in_the_message_that_recovers_them(
    gateway: httpx.AsyncClient, temporal: Client, lost_order: UUID
) -> None:
    request = {"order_ids": [str(lost_order)], "then": "cancel", "reason": "fraud"}

    await gateway.post("/orders/bulk/recover", json=request)

    recovery = (await read_input(temporal, lost_order)).recovery
    assert recovery is not None
    assert recovery.cancellation == CancelOrder(actor="unknown", reason="fraud")


async def test_a_repeated_recovery_of_many_orders_starts_no_second_workflow(
    gateway: httpx.AsyncClient, lost_order: UUID
) -> None:
    request = {"order_ids": [str(lost_order)]}
    await gateway.post("/orders/bulk/recover", json=request)

    repeated = await gateway.post("/orders/bulk/recover", json=request)

    [result] = repeated.json()["results"]
    assert result["problem"]["type"] == "/problems/workflow-running"
