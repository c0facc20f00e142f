"""Signals and updates: what they change, and when they are rejected."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from order_harness import (
    NOT_SERVED,
    Handle,
    OrderHarness,
    until,
    waits_for,
)
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.exceptions import ApplicationError

from fuze_contracts import payment
from fuze_contracts.address import Address
from fuze_contracts.order import (
    ADDRESS_CHANGE_LIMIT,
    ADDRESS_INVALID,
    ALREADY_APPROVED,
    NOT_AWAITING_APPROVAL,
    NOTHING_TO_RETRY,
    TOO_LATE_TO_CHANGE_ADDRESS,
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    PlaceOrder,
    RejectOrder,
    RetryOrder,
)
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]

ELSEWHERE = ChangeAddress(address=Address(country="US", postal_code="94105"), actor="ada")


async def refusal(handle: Handle, update: object, request: object) -> str | None:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(update, request)  # type: ignore[call-overload] # any of them
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause.type


async def test_an_approval_is_answered_with_the_new_state(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.may_answer.clear()
    handle = await harness.place(make_order())

    answer = await handle.execute_update(OrderWorkflow.approve_order, ApproveOrder(actor="grace"))

    assert (answer.status, answer.payment_status) == (
        OrderStatus.APPROVED,
        PaymentStatus.PENDING,
    )
    harness.payments.may_answer.set()
    await handle.result()


async def test_many_identical_approvals_are_one_event(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)
    await until(handle, waits_for(WaitingFor.APPROVAL))

    answers = await asyncio.gather(
        *(
            handle.execute_update(OrderWorkflow.approve_order, ApproveOrder(actor="grace"))
            for _ in range(50)
        ),
        return_exceptions=True,
    )
    await handle.result()

    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert (await harness.timeline(order.order_id)).count("order_approved") == 1


async def test_a_second_approval_is_refused(harness: OrderHarness, make_order: Order) -> None:
    harness.payments.may_answer.clear()
    handle = await harness.place(make_order())
    await handle.execute_update(OrderWorkflow.approve_order, ApproveOrder())

    assert await refusal(handle, OrderWorkflow.approve_order, ApproveOrder()) == ALREADY_APPROVED
    assert await refusal(handle, OrderWorkflow.reject_order, RejectOrder()) == NOT_AWAITING_APPROVAL
    harness.payments.may_answer.set()
    await handle.result()


async def test_a_rejected_update_leaves_no_event_in_the_history(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.may_answer.clear()
    handle = await harness.place(make_order())
    await handle.execute_update(OrderWorkflow.approve_order, ApproveOrder())
    await refusal(handle, OrderWorkflow.approve_order, ApproveOrder())

    kinds = [event.event_type for event in (await handle.fetch_history()).events]
    assert kinds.count(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED) == 1
    harness.payments.may_answer.set()
    await handle.result()


async def test_a_rejection_ends_the_order_with_its_reason(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)

    answer = await handle.execute_update(
        OrderWorkflow.reject_order, RejectOrder(actor="grace", reason="a known thief")
    )

    assert answer.status is OrderStatus.REJECTED
    assert (await handle.result()).reason == "a known thief"
    assert (await harness.timeline(order.order_id))[-1] == "order_rejected"


async def test_a_small_order_is_approved_automatically(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order(auto_approve_limit=5997)
    handle = await harness.place(order)

    assert (await handle.result()).status is OrderStatus.SHIPPED
    assert "order_approved" in await harness.timeline(order.order_id)


async def test_an_order_one_cent_above_the_limit_needs_approval(
    harness: OrderHarness, make_order: Order
) -> None:
    handle = await harness.place(make_order(auto_approve_limit=5996))

    await until(handle, waits_for(WaitingFor.APPROVAL))

    await handle.signal(OrderWorkflow.cancel)
    await handle.result()


async def test_a_reminder_is_recorded_before_the_deadline(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order(
        approval_timeout=timedelta(days=7), approval_reminder_before=timedelta(days=1)
    )
    handle = await harness.place(order)

    assert (await handle.result()).status is OrderStatus.EXPIRED
    assert (await harness.timeline(order.order_id))[-2:] == [
        "approval_reminder_sent",
        "order_expired",
    ]


async def test_an_approval_after_the_reminder_counts(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order(
        approval_timeout=timedelta(days=7), approval_reminder_before=timedelta(days=6)
    )
    handle = await harness.place(order)
    await harness.environment.sleep(timedelta(days=2))
    await handle.execute_update(OrderWorkflow.approve_order, ApproveOrder())

    assert (await handle.result()).status is OrderStatus.SHIPPED
    assert "approval_reminder_sent" in await harness.timeline(order.order_id)


async def test_a_new_address_is_answered_once_it_is_recorded(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)

    answer = await handle.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)

    assert answer.last_seq == 3
    assert (await harness.timeline(order.order_id))[-1] == "address_changed"
    await handle.signal(OrderWorkflow.cancel)
    await handle.result()


async def test_a_new_address_does_not_wait_for_the_charge(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.charging(order)

    await handle.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)

    assert (await harness.timeline(order.order_id))[-1] == "address_changed"
    harness.payments.may_answer.set()
    assert ((await handle.result()).tracking_number or "").startswith("to-94105-")
    assert len(harness.payments.charges) == 1


async def test_an_invalid_address_is_rejected_and_recorded(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)
    change = ChangeAddress(address=NOT_SERVED)

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(OrderWorkflow.change_order_address, change)

    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == ADDRESS_INVALID
    assert refused.value.cause.message == "orders are not shipped to FR; give an address in US"
    assert (await harness.timeline(order.order_id))[-1] == "address_change_rejected"
    await handle.signal(OrderWorkflow.cancel)
    await handle.result()


async def test_the_address_changes_while_the_shipment_is_prepared(
    harness: OrderHarness, make_order: Order
) -> None:
    handle = await harness.preparing(make_order())

    await handle.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
    harness.shipping.may_dispatch.set()

    assert ((await handle.result()).tracking_number or "").startswith("to-94105-")


async def test_an_address_change_is_too_late_once_the_shipment_is_dispatched(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.preparing(order)
    harness.shipping.dispatched.add(order.order_id)

    why = await refusal(handle, OrderWorkflow.change_order_address, ELSEWHERE)
    harness.shipping.may_dispatch.set()

    assert why == TOO_LATE_TO_CHANGE_ADDRESS
    assert ((await handle.result()).tracking_number or "").startswith("to-10001-")
    assert "address_changed" not in await harness.timeline(order.order_id)


async def test_few_address_changes_are_pending_at_once(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.shipping.may_change_address.clear()
    handle = await harness.preparing(make_order())
    pending = [
        await handle.start_update(
            OrderWorkflow.change_order_address,
            ELSEWHERE,
            wait_for_stage=WorkflowUpdateStage.ACCEPTED,
        )
        for _ in range(4)
    ]

    why = await refusal(handle, OrderWorkflow.change_order_address, ELSEWHERE)

    assert why == ADDRESS_CHANGE_LIMIT
    harness.shipping.may_change_address.set()
    await asyncio.gather(*(update.result() for update in pending))
    harness.shipping.may_dispatch.set()
    await handle.result()


async def test_an_address_that_the_carrier_rejected_is_corrected_and_shipped_to(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.shipping.rejected_postal_codes.add("10001")
    order = make_order()
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.approve)
    waiting = await until(handle, waits_for(WaitingFor.ADDRESS))

    await handle.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)

    assert waiting.status is OrderStatus.AWAITING_ADDRESS
    assert ((await handle.result()).tracking_number or "").startswith("to-94105-")
    assert len(harness.payments.charges) == 1


async def test_a_rejected_address_that_is_not_corrected_cancels_and_refunds(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.shipping.rejected_postal_codes.add("10001")
    handle = await harness.place(make_order())
    await handle.signal(OrderWorkflow.approve)

    result = await handle.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )
    assert "it was not corrected in time" in (result.reason or "")


async def test_a_charge_that_keeps_failing_needs_attention_and_is_retried(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.outcome = ApplicationError("the provider is unavailable")
    order = make_order(step_failure_alert_after=timedelta(seconds=10))
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.approve)
    await harness.payments.reached.wait()
    await harness.environment.sleep(timedelta(seconds=20))
    status = await until(handle, lambda status: status.needs_attention)

    harness.payments.outcome = None
    result = await handle.result()

    assert status.waiting_for is WaitingFor.PAYMENT
    assert result.status is OrderStatus.SHIPPED
    assert (await harness.timeline(order.order_id)).count("needs_attention") == 1


async def test_a_refund_that_keeps_failing_needs_attention_and_can_be_retried_now(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.void_outcome = ApplicationError(
        "refused", type=payment.PAYMENT_OUTCOME_UNKNOWN
    )
    order = make_order(step_failure_alert_after=timedelta(seconds=10))
    handle = await harness.preparing(order)
    await handle.execute_update(OrderWorkflow.cancel_order, CancelOrder())
    assert await refusal(handle, OrderWorkflow.retry_step, RetryOrder()) == NOTHING_TO_RETRY
    await harness.environment.sleep(timedelta(seconds=20))
    await until(handle, lambda status: status.needs_attention)
    harness.payments.void_outcome = None
    harness.shipping.may_dispatch.set()

    answer = await handle.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))

    assert not answer.needs_attention
    assert (await handle.result()).payment_status is PaymentStatus.REFUNDED
    timeline = await harness.timeline(order.order_id)
    assert timeline[-4:] == [
        "needs_attention",
        "retry_requested",
        "payment_refunded",
        "order_cancelled",
    ]
