"""Orders that track their delivery."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from order_harness import Handle, OrderHarness, until, waits_for

from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.shipping import DeliveryStatus, DeliveryStatusChanged
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]


@pytest.fixture
def followed(make_order: Order) -> PlaceOrder:
    return make_order(delivery_tracking_period=timedelta(days=30), auto_approve_limit=10_000)


async def report(handle: Handle, order: PlaceOrder, state: DeliveryStatus) -> None:
    parcel = DeliveryStatusChanged(order_id=order.order_id, status=state)
    await handle.execute_update(OrderWorkflow.report_delivery_status, parcel)


async def test_an_order_ends_when_its_parcel_is_delivered(
    harness: OrderHarness, followed: PlaceOrder
) -> None:
    handle = await harness.place(followed)
    waiting = await until(handle, waits_for(WaitingFor.DELIVERY))
    await report(handle, followed, DeliveryStatus.IN_TRANSIT)

    await report(handle, followed, DeliveryStatus.DELIVERED)

    assert waiting.status is OrderStatus.SHIPPED
    result = await handle.result()
    assert (result.status, result.payment_status) == (
        OrderStatus.DELIVERED,
        PaymentStatus.CHARGED,
    )
    assert (await harness.timeline(followed.order_id))[-1] == "order_delivered"


async def test_a_returned_parcel_is_refunded(harness: OrderHarness, followed: PlaceOrder) -> None:
    handle = await harness.place(followed)
    await until(handle, waits_for(WaitingFor.DELIVERY))

    await report(handle, followed, DeliveryStatus.RETURNED)

    result = await handle.result()
    assert (result.status, result.payment_status) == (
        OrderStatus.RETURNED,
        PaymentStatus.REFUNDED,
    )
    assert result.reason == "the parcel was returned"
    assert len(harness.payments.voided) == 1
    timeline = await harness.timeline(followed.order_id)
    assert timeline[-2:] == ["order_returned", "payment_refunded"]


async def test_an_order_without_a_delivery_report_ends_as_shipped(
    harness: OrderHarness, followed: PlaceOrder
) -> None:
    handle = await harness.place(followed)

    assert (await handle.result()).status is OrderStatus.SHIPPED


@pytest.mark.parametrize(
    ("recorded", "status", "payment_status"),
    [
        (DeliveryStatus.RETURNED, OrderStatus.RETURNED, PaymentStatus.REFUNDED),
        (DeliveryStatus.DELIVERED, OrderStatus.DELIVERED, PaymentStatus.CHARGED),
        (DeliveryStatus.IN_TRANSIT, OrderStatus.SHIPPED, PaymentStatus.CHARGED),
    ],
)
async def test_a_delivery_whose_signal_was_lost_is_found_at_the_end_of_the_tracking_period(
    harness: OrderHarness,
    followed: PlaceOrder,
    recorded: DeliveryStatus,
    status: OrderStatus,
    payment_status: PaymentStatus,
) -> None:
    harness.shipping.delivery_statuses[followed.order_id] = recorded

    result = await (await harness.place(followed)).result()

    assert (result.status, result.payment_status) == (status, payment_status)


async def test_a_cancellation_through_temporal_does_not_stop_the_tracking(
    harness: OrderHarness, followed: PlaceOrder
) -> None:
    handle = await harness.place(followed)
    await until(handle, waits_for(WaitingFor.DELIVERY))
    await handle.cancel()

    await report(handle, followed, DeliveryStatus.DELIVERED)

    assert (await handle.result()).status is OrderStatus.DELIVERED
