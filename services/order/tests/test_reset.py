"""A workflow that is reset remembers nothing: what is undone follows from the committed status."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from order_harness import Handle, OrderHarness, run_workers, until, waits_for
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType as HistoryEventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError, WorkflowHandle

from fuze_contracts import payment, shipping
from fuze_contracts.address import Address
from fuze_contracts.order import CancelOrder, ChangeAddress, ChangePaymentMethod, PlaceOrder
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.workflow_ids import shipping_workflow_id
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]

CANCEL = CancelOrder(actor="ada", reason="changed my mind")


@pytest.fixture
def harness(without_workers: OrderHarness) -> OrderHarness:
    return without_workers


async def reset(handle: Handle) -> Handle:
    """Reset the workflow to its first workflow task, as `temporal workflow reset` does."""
    client = handle._client
    first = next(
        event.event_id
        for event in (await handle.fetch_history()).events
        if event.event_type == HistoryEventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            reason="test",
            workflow_task_finish_event_id=first,
            request_id=str(uuid4()),
        )
    )
    return client.get_workflow_handle_for(OrderWorkflow.run, handle.id)


async def test_a_cancellation_after_a_reset_while_charging_voids_the_charge(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    async with run_workers(harness, OrderRepository(harness.engine)):
        charging = await harness.charging(order)
    handle = await reset(charging)
    await handle.signal(OrderWorkflow.cancel, CANCEL)

    async with run_workers(harness, OrderRepository(harness.engine)):
        result = await handle.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )
    assert [void.charge.payment_token for void in harness.payments.voided] == [order.payment_token]


async def test_two_kinds_of_cancellation_in_one_workflow_task_void_the_charge(
    harness: OrderHarness, make_order: Order
) -> None:
    """The signal makes the order give the charge up; Temporal's cancellation must not end it there.

    Without a worker, both wait for the same workflow task.
    """
    order = make_order()
    async with run_workers(harness, OrderRepository(harness.engine)):
        handle = await harness.charging(order)
    await handle.signal(OrderWorkflow.cancel, CANCEL)
    await handle.cancel()

    async with run_workers(harness, OrderRepository(harness.engine)):
        with pytest.raises(WorkflowFailureError):
            await handle.result()

    assert await harness.row_status(order.order_id) == OrderStatus.CANCELLED
    assert len(harness.payments.voided) == 1


async def test_a_cancellation_after_a_reset_voids_the_charge_of_the_latest_payment_method(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    harness.payments.outcome = payment.Declined(payment_id=uuid4(), code="card_declined")
    async with run_workers(harness, OrderRepository(harness.engine)):
        declined = await harness.place(order)
        await declined.signal(OrderWorkflow.approve)
        await until(declined, waits_for(WaitingFor.PAYMENT_METHOD))
        harness.payments.may_answer.clear()
        await declined.execute_update(
            OrderWorkflow.change_payment_method, ChangePaymentMethod(payment_method="pm_other")
        )
        await until(declined, waits_for(WaitingFor.PAYMENT))
    handle = await reset(declined)
    await handle.signal(OrderWorkflow.cancel, CANCEL)

    async with run_workers(harness, OrderRepository(harness.engine)):
        await handle.result()

    [void] = harness.payments.voided
    assert (void.charge.payment_token, void.charge.payment_method) == (
        f"{order.order_id}:2",
        "pm_other",
    )


async def test_a_cancellation_after_a_reset_while_preparing_cancels_the_shipment(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    async with run_workers(harness, OrderRepository(harness.engine)):
        preparing = await harness.preparing(order)
    handle = await reset(preparing)
    await handle.signal(OrderWorkflow.cancel, CANCEL)

    async with run_workers(harness, OrderRepository(harness.engine)):
        result = await handle.result()
        harness.shipping.may_dispatch.set()
        shipment = harness.environment.client.get_workflow_handle(f"shipping/{order.order_id}")
        await shipment.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )
    assert order.order_id in harness.shipping.cancelled
    assert order.order_id not in harness.shipping.dispatched
    assert len(harness.payments.voided) == 1


async def test_a_cancellation_after_a_reset_is_too_late_once_the_shipment_is_dispatched(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    async with run_workers(harness, OrderRepository(harness.engine)):
        preparing = await harness.preparing(order)
    handle = await reset(preparing)
    harness.shipping.dispatched.add(order.order_id)
    harness.shipping.may_dispatch.set()
    await handle.signal(OrderWorkflow.cancel, CANCEL)

    async with run_workers(harness, OrderRepository(harness.engine)):
        result = await handle.result()

    assert (result.status, result.payment_status) == (OrderStatus.SHIPPED, PaymentStatus.CHARGED)
    assert harness.payments.voided == []


async def test_an_address_change_after_a_reset_while_preparing_reaches_the_shipment(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    async with run_workers(harness, OrderRepository(harness.engine)):
        preparing = await harness.preparing(order)
    handle = await reset(preparing)
    await handle.signal(
        OrderWorkflow.change_address,
        ChangeAddress(address=Address(country="US", postal_code="94105")),
    )

    async with run_workers(harness, OrderRepository(harness.engine)):
        await until(handle, lambda snapshot: snapshot.last_seq == 6)
        harness.shipping.may_dispatch.set()
        result = await handle.result()

    assert (result.tracking_number or "").startswith("to-94105-")
    assert len(harness.payments.charges) == 1


async def test_a_reset_order_that_was_cancelled_stays_as_it_ended(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    async with run_workers(harness, OrderRepository(harness.engine)):
        cancelled = await harness.charging(order)
        await cancelled.execute_update(OrderWorkflow.cancel_order, CANCEL)
        await cancelled.result()
    timeline = await harness.timeline(order.order_id)
    handle = await reset(cancelled)

    async with run_workers(harness, OrderRepository(harness.engine)):
        result = await handle.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )
    assert await harness.timeline(order.order_id) == timeline


async def test_a_shipment_that_runs_already_is_woken_up_and_awaited(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    harness.shipping.may_dispatch.clear()
    async with run_workers(harness, OrderRepository(harness.engine)):
        shipment = await harness.environment.client.start_workflow(
            shipping.ShippingWorkflow.run,
            shipping.ShipOrder(order_id=order.order_id, address=order.address),
            id=shipping_workflow_id(order.order_id),
            task_queue=shipping.SHIPPING_TASK_QUEUE,
        )
        handle = await harness.place(order)
        await handle.signal(OrderWorkflow.approve)
        async with asyncio.timeout(20):
            while "wake_up" not in await _received_signals(shipment):
                await asyncio.sleep(0.05)
        harness.shipping.may_dispatch.set()

        assert (await handle.result()).status is OrderStatus.SHIPPED


async def _received_signals(workflow: WorkflowHandle[Any, Any]) -> set[str]:
    events = (await workflow.fetch_history()).events
    return {one.workflow_execution_signaled_event_attributes.signal_name for one in events}
