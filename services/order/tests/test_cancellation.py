"""Cancelling an order in every status."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from order_harness import FakePaymentService, Handle, OrderHarness, run_workers, until, waits_for
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from fuze_contracts import payment, shipping
from fuze_contracts.order import (
    ALREADY_CANCELLED,
    TOO_LATE_TO_CANCEL,
    ApproveOrder,
    CancelOrder,
    OrderResult,
    PlaceOrder,
)
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]
EngineOf = Callable[[str], AsyncEngine]

CHANNELS = ["update", "signal", "temporal"]


async def cancel(handle: Handle, channel: str) -> None:
    request = CancelOrder(actor="ada", reason="changed my mind")
    match channel:
        case "update":
            await handle.execute_update(OrderWorkflow.cancel_order, request)
        case "signal":
            await handle.signal(OrderWorkflow.cancel, request)
        case _:
            await handle.cancel()


async def refusal(handle: Handle) -> str | None:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(OrderWorkflow.cancel_order, CancelOrder())
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause.type


async def end(handle: Handle, harness: OrderHarness, order: PlaceOrder, channel: str) -> None:
    """Wait for the end, and check that the order is cancelled everywhere."""
    if channel == "temporal":
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    else:
        result = await handle.result()
        assert result.status is OrderStatus.CANCELLED
        assert result.reason == "changed my mind"
    assert await harness.row_status(order.order_id) == "cancelled"
    assert (await harness.timeline(order.order_id))[-1] == "order_cancelled"
    assert order.order_id not in harness.shipping.dispatched


@pytest.mark.parametrize("channel", CHANNELS)
async def test_before_the_approval_there_is_nothing_to_compensate(
    harness: OrderHarness, make_order: Order, channel: str
) -> None:
    order = make_order()
    handle = await harness.place(order)
    await until(handle, waits_for(WaitingFor.APPROVAL))

    await cancel(handle, channel)

    await end(handle, harness, order, channel)
    assert harness.payments.charges == []
    assert harness.payments.voided == []


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_cancellation_while_charging_voids_the_charge(
    harness: OrderHarness, make_order: Order, channel: str
) -> None:
    order = make_order()
    handle = await harness.charging(order)

    await cancel(handle, channel)

    await end(handle, harness, order, channel)
    harness.payments.may_answer.set()  # no longer awaited
    assert [void.charge.payment_token for void in harness.payments.voided] == [
        f"{order.order_id}:1"
    ]
    assert (await harness.timeline(order.order_id))[-3:] == [
        "cancellation_started",
        "payment_refunded",
        "order_cancelled",
    ]


async def test_a_charge_that_never_happened_leaves_nothing_to_pay(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.void_outcome = payment.Voided()
    handle = await harness.charging(make_order())
    await cancel(handle, "signal")

    assert (await handle.result()).payment_status is PaymentStatus.NONE
    harness.payments.may_answer.set()


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_cancellation_while_preparing_cancels_the_shipment_and_refunds(
    harness: OrderHarness, make_order: Order, channel: str
) -> None:
    order = make_order()
    handle = await harness.preparing(order)

    await cancel(handle, channel)

    await end(handle, harness, order, channel)
    harness.shipping.may_dispatch.set()  # no longer awaited
    assert order.order_id in harness.shipping.cancelled
    assert len(harness.payments.voided) == 1
    child = harness.environment.client.get_workflow_handle(f"shipping/{order.order_id}")
    assert await child.result() == shipping.ShipmentCancelled().model_dump()


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_cancellation_is_too_late_once_the_shipment_is_dispatched(
    harness: OrderHarness, make_order: Order, channel: str
) -> None:
    order = make_order()
    handle = await harness.preparing(order)
    harness.shipping.dispatched.add(order.order_id)

    if channel == "update":
        assert await refusal(handle) == TOO_LATE_TO_CANCEL
        assert await refusal(handle) == TOO_LATE_TO_CANCEL
    else:
        await cancel(handle, channel)
    harness.shipping.may_dispatch.set()

    assert (await handle.result()).status is OrderStatus.SHIPPED
    assert harness.payments.voided == []


async def test_a_cancellation_succeeds_later_when_the_carrier_did_not_accept_the_shipment(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.preparing(order)
    harness.shipping.dispatched.add(order.order_id)
    assert await refusal(handle) == TOO_LATE_TO_CANCEL
    harness.shipping.dispatched.remove(order.order_id)

    await cancel(handle, "update")

    await end(handle, harness, order, "update")


async def test_the_answer_to_a_cancellation_does_not_wait_for_the_refund(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.void_outcome = ApplicationError("the provider is unavailable")
    handle = await harness.preparing(make_order())

    answer = await handle.execute_update(OrderWorkflow.cancel_order, CancelOrder())

    assert answer.status is OrderStatus.CANCELLING
    assert answer.payment_status is PaymentStatus.REFUNDING
    assert await refusal(handle) == ALREADY_CANCELLED
    harness.payments.void_outcome = None
    result = await handle.result()
    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )


async def test_an_operator_who_cancels_the_shipment_cancels_the_order(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.preparing(order)
    harness.shipping.cancelled.add(order.order_id)

    await harness.environment.client.get_workflow_handle(f"shipping/{order.order_id}").cancel()
    harness.shipping.may_dispatch.set()

    result = await handle.result()
    assert result.status is OrderStatus.CANCELLED
    assert result.payment_status is PaymentStatus.REFUNDED


@pytest.mark.parametrize("first", ["approve", "cancel"])
async def test_a_cancellation_takes_precedence_over_a_pending_approval(
    time_skipping: WorkflowEnvironment, engine_of: EngineOf, make_order: Order, first: str
) -> None:
    engine = engine_of("order")
    order = make_order()
    harness = OrderHarness(time_skipping, engine, FakePaymentService())
    harness.respond_at_once()
    handle = await harness.place(order)
    for signal in (first, "cancel" if first == "approve" else "approve"):
        await handle.signal(signal)

    async with run_workers(harness, OrderRepository(engine)):
        result = await handle.result()

    assert result.status is OrderStatus.CANCELLED
    assert harness.payments.charges == []


async def test_many_concurrent_cancellations_are_one_event(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.shipping.may_dispatch.clear()
    order = make_order()
    handle = await harness.place(order)
    await handle.execute_update(OrderWorkflow.approve_order, ApproveOrder(actor="grace"))
    await harness.shipping.reached.wait()

    answers = await asyncio.gather(
        *(handle.execute_update(OrderWorkflow.cancel_order, CancelOrder()) for _ in range(20)),
        return_exceptions=True,
    )
    result: OrderResult = await handle.result()
    harness.shipping.may_dispatch.set()

    assert result.status is OrderStatus.CANCELLED
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert (await harness.timeline(order.order_id)).count("cancellation_started") == 1


async def test_an_order_without_lines_is_cancelled_without_a_refund(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.void_outcome = payment.Voided()
    order = make_order(lines=(), payment_method=None, step_failure_alert_after=timedelta(minutes=5))
    handle = await harness.preparing(order)
    await cancel(handle, "update")

    assert (await handle.result()).payment_status is PaymentStatus.NONE
    harness.shipping.may_dispatch.set()
