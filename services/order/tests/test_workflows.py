"""Whole orders with time skipping: the real activities on a real PostgreSQL."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from order_harness import (
    NOT_SERVED,
    OrderHarness,
    until,
    waits_for,
)
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from fuze_contracts.address import Address
from fuze_contracts.order import (
    ORDER_ID_TAKEN,
    ORDER_REJECTED,
    ORDER_TASK_QUEUE,
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    PlaceOrder,
)
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]


async def test_an_approved_order_is_charged_and_shipped(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.approve, ApproveOrder(actor="grace"))

    result = await handle.result()

    assert (result.status, result.payment_status) == (OrderStatus.SHIPPED, PaymentStatus.CHARGED)
    assert result.tracking_number == f"to-10001-{str(order.order_id)[:8]}"
    assert await harness.timeline(order.order_id) == [
        "order_received",
        "order_validated",
        "order_approved",
        "payment_charged",
        "shipping_started",
        "order_shipped",
    ]
    [charge] = harness.payments.charges
    assert (charge.payment_token, str(charge.amount)) == (order.payment_token, "59.97 USD")


async def test_an_invalid_order_fails_and_its_row_has_the_reason(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order(address=NOT_SERVED)
    handle = await harness.place(order)

    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == ORDER_REJECTED
    assert await harness.timeline(order.order_id) == ["order_received", "order_rejected"]
    assert harness.payments.charges == []


async def test_an_order_that_is_not_approved_expires(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order(approval_timeout=timedelta(days=7))
    handle = await harness.place(order)

    result = await handle.result()

    assert (result.status, result.payment_status) == (OrderStatus.EXPIRED, PaymentStatus.NONE)
    assert (await harness.timeline(order.order_id))[-1] == "order_expired"


async def test_a_query_returns_what_the_order_waits_for_and_its_deadline(
    harness: OrderHarness, make_order: Order
) -> None:
    handle = await harness.place(make_order())

    status = await until(handle, waits_for(WaitingFor.APPROVAL))

    assert status.status is OrderStatus.AWAITING_APPROVAL
    assert status.last_seq == 2
    assert status.deadline is not None
    assert timedelta(days=6) < status.deadline - status.status_since <= timedelta(days=7)
    await handle.signal(OrderWorkflow.cancel)
    await handle.result()


async def test_a_waiting_order_is_cancelled_with_its_reason(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.cancel, CancelOrder(actor="ada", reason="bought elsewhere"))

    result = await handle.result()

    assert (result.status, result.reason) == (OrderStatus.CANCELLED, "bought elsewhere")
    assert harness.payments.charges == []


async def test_temporals_own_cancellation_takes_the_same_path(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)
    await until(handle, waits_for(WaitingFor.APPROVAL))
    await handle.cancel()

    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()

    assert isinstance(failure.value.cause, CancelledError)
    assert (await harness.timeline(order.order_id))[-1] == "order_cancelled"


async def test_a_second_approval_changes_nothing(harness: OrderHarness, make_order: Order) -> None:
    order = make_order()
    handle = await harness.place(order)
    for actor in ("grace", "alan"):
        await handle.signal(OrderWorkflow.approve, ApproveOrder(actor=actor))
    await handle.result()

    assert (await harness.timeline(order.order_id)).count("order_approved") == 1


async def test_a_new_address_is_recorded_and_shipped_to(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)
    await until(handle, waits_for(WaitingFor.APPROVAL))
    await handle.signal(
        OrderWorkflow.change_address,
        ChangeAddress(address=Address(country="US", postal_code="94105")),
    )
    await until(handle, lambda status: status.last_seq == 3)
    await handle.signal(OrderWorkflow.approve)

    result = await handle.result()

    assert result.tracking_number is not None
    assert result.tracking_number.startswith("to-94105-")
    assert "address_changed" in await harness.timeline(order.order_id)


async def test_a_second_workflow_of_the_same_order_fails_and_leaves_the_first_alone(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    first = await harness.place(order)
    await until(first, waits_for(WaitingFor.APPROVAL))
    second = await harness.environment.client.start_workflow(
        OrderWorkflow.run, order, id=f"order/{uuid4()}", task_queue=ORDER_TASK_QUEUE
    )

    with pytest.raises(WorkflowFailureError) as failure:
        await second.result()

    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == ORDER_ID_TAKEN
    assert await harness.timeline(order.order_id) == ["order_received", "order_validated"]
    await first.signal(OrderWorkflow.cancel)
    await first.result()


async def test_every_address_is_an_event_and_the_last_good_one_counts(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)
    good = [Address(country="US", postal_code=code) for code in ("94105", "60601")]
    for address in (*good, NOT_SERVED):
        await handle.signal(OrderWorkflow.change_address, ChangeAddress(address=address))
    await handle.signal(OrderWorkflow.approve)

    result = await handle.result()

    timeline = await harness.timeline(order.order_id)
    assert timeline.count("address_changed") == 2
    assert timeline.count("address_change_rejected") == 1
    assert (result.tracking_number or "").startswith("to-60601-")


async def test_an_address_that_comes_while_the_charge_is_under_way_is_shipped_to(
    harness: OrderHarness, make_order: Order
) -> None:
    handle = await harness.charging(make_order())
    await handle.signal(
        OrderWorkflow.change_address,
        ChangeAddress(address=Address(country="US", postal_code="94105")),
    )
    harness.payments.may_answer.set()

    assert ((await handle.result()).tracking_number or "").startswith("to-94105-")
