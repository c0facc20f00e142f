"""Cancelling an order, at every step of its life."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from shop import Handle, PaymentService, Shop, open_shop, until, waits_for
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
    OrderStatus,
    PaymentStatus,
    PlaceOrder,
    WaitingFor,
)
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]
EngineOf = Callable[[str], AsyncEngine]

WAYS = ["update", "signal", "temporal"]


async def cancel(handle: Handle, way: str) -> None:
    request = CancelOrder(actor="ada", reason="changed my mind")
    match way:
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


async def end(handle: Handle, shop: Shop, order: PlaceOrder, way: str) -> None:
    """Wait for the order's end, and see that everybody agrees that it is cancelled."""
    if way == "temporal":
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    else:
        result = await handle.result()
        assert result.status is OrderStatus.CANCELLED
        assert result.reason == "changed my mind"
    assert await shop.row_status(order.order_id) == "cancelled"
    assert (await shop.timeline(order.order_id))[-1] == "order_cancelled"
    assert order.order_id not in shop.depot.handed_over


@pytest.mark.parametrize("way", WAYS)
async def test_before_the_approval_there_is_nothing_to_undo(
    shop: Shop, an_order: Order, way: str
) -> None:
    order = an_order()
    handle = await shop.place(order)
    await until(handle, waits_for(WaitingFor.APPROVAL))

    await cancel(handle, way)

    await end(handle, shop, order, way)
    assert shop.payments.asked == []
    assert shop.payments.voided == []


@pytest.mark.parametrize("way", WAYS)
async def test_while_the_charge_is_under_way_whatever_comes_of_it_is_given_back(
    shop: Shop, an_order: Order, way: str
) -> None:
    order = an_order()
    handle = await shop.charging(order)

    await cancel(handle, way)

    await end(handle, shop, order, way)
    shop.payments.may_answer.set()  # nobody waits for it any more
    assert [void.charge.payment_token for void in shop.payments.voided] == [f"{order.order_id}:1"]
    assert (await shop.timeline(order.order_id))[-3:] == [
        "cancellation_started",
        "payment_refunded",
        "order_cancelled",
    ]


async def test_a_charge_that_never_happened_leaves_nothing_to_pay(
    shop: Shop, an_order: Order
) -> None:
    shop.payments.void_outcome = payment.Voided()
    handle = await shop.charging(an_order())
    await cancel(handle, "signal")

    assert (await handle.result()).payment_status is PaymentStatus.NONE
    shop.payments.may_answer.set()


@pytest.mark.parametrize("way", WAYS)
async def test_while_the_parcel_is_prepared_it_is_called_off_and_the_money_given_back(
    shop: Shop, an_order: Order, way: str
) -> None:
    order = an_order()
    handle = await shop.preparing(order)

    await cancel(handle, way)

    await end(handle, shop, order, way)
    shop.depot.may_hand_over.set()  # nobody waits for it any more
    assert order.order_id in shop.depot.called_off
    assert len(shop.payments.voided) == 1
    child = shop.environment.client.get_workflow_handle(f"shipping/{order.order_id}")
    assert await child.result() == shipping.ShipmentCancelled().model_dump()


@pytest.mark.parametrize("way", WAYS)
async def test_once_the_parcel_is_being_handed_over_it_is_too_late(
    shop: Shop, an_order: Order, way: str
) -> None:
    order = an_order()
    handle = await shop.preparing(order)
    shop.depot.handed_over.add(order.order_id)

    if way == "update":
        assert await refusal(handle) == TOO_LATE_TO_CANCEL
        assert await refusal(handle) == TOO_LATE_TO_CANCEL
    else:
        await cancel(handle, way)
    shop.depot.may_hand_over.set()

    assert (await handle.result()).status is OrderStatus.SHIPPED
    assert shop.payments.voided == []


async def test_too_late_is_not_for_good_when_the_carrier_did_not_take_the_parcel(
    shop: Shop, an_order: Order
) -> None:
    order = an_order()
    handle = await shop.preparing(order)
    shop.depot.handed_over.add(order.order_id)
    assert await refusal(handle) == TOO_LATE_TO_CANCEL
    shop.depot.handed_over.remove(order.order_id)

    await cancel(handle, "update")

    await end(handle, shop, order, "update")


async def test_the_answer_to_a_cancellation_does_not_wait_for_the_refund(
    shop: Shop, an_order: Order
) -> None:
    shop.payments.void_outcome = ApplicationError("the provider is away")
    handle = await shop.preparing(an_order())

    answer = await handle.execute_update(OrderWorkflow.cancel_order, CancelOrder())

    assert answer.status is OrderStatus.CANCELLING
    assert answer.payment_status is PaymentStatus.REFUNDING
    assert await refusal(handle) == ALREADY_CANCELLED
    shop.payments.void_outcome = None
    result = await handle.result()
    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )


async def test_an_operator_who_cancels_the_shipment_cancels_the_order(
    shop: Shop, an_order: Order
) -> None:
    order = an_order()
    handle = await shop.preparing(order)
    shop.depot.called_off.add(order.order_id)

    await shop.environment.client.get_workflow_handle(f"shipping/{order.order_id}").cancel()
    shop.depot.may_hand_over.set()

    result = await handle.result()
    assert result.status is OrderStatus.CANCELLED
    assert result.payment_status is PaymentStatus.REFUNDED


@pytest.mark.parametrize("first", ["approve", "cancel"])
async def test_a_cancellation_beats_an_approval_that_nobody_has_looked_at_yet(
    time_skipping: WorkflowEnvironment, engine_of: EngineOf, an_order: Order, first: str
) -> None:
    engine = engine_of("order")
    order = an_order()
    shop = Shop(time_skipping, engine, PaymentService())
    shop.open_for_business()
    handle = await shop.place(order)
    for told in (first, "cancel" if first == "approve" else "approve"):
        await handle.signal(told)

    async with open_shop(shop, OrderRepository(engine)):
        result = await handle.result()

    assert result.status is OrderStatus.CANCELLED
    assert shop.payments.asked == []


async def test_many_cancellations_at_once_are_one(shop: Shop, an_order: Order) -> None:
    shop.depot.may_hand_over.clear()
    order = an_order()
    handle = await shop.place(order)
    await handle.execute_update(OrderWorkflow.approve_order, ApproveOrder(actor="grace"))
    await shop.depot.reached.wait()

    answers = await asyncio.gather(
        *(handle.execute_update(OrderWorkflow.cancel_order, CancelOrder()) for _ in range(20)),
        return_exceptions=True,
    )
    result: OrderResult = await handle.result()
    shop.depot.may_hand_over.set()

    assert result.status is OrderStatus.CANCELLED
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert (await shop.timeline(order.order_id)).count("cancellation_started") == 1


async def test_an_order_without_lines_is_cancelled_without_a_refund(
    shop: Shop, an_order: Order
) -> None:
    shop.payments.void_outcome = payment.Voided()
    order = an_order(lines=(), payment_method=None, step_failure_alert_after=timedelta(minutes=5))
    handle = await shop.preparing(order)
    await cancel(handle, "update")

    assert (await handle.result()).payment_status is PaymentStatus.NONE
    shop.depot.may_hand_over.set()
