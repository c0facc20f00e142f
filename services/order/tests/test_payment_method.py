"""Orders whose payment is declined."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from order_harness import OrderHarness, until, waits_for
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from fuze_contracts import payment
from fuze_contracts.order import NOT_AWAITING_PAYMENT_METHOD, ChangePaymentMethod, PlaceOrder
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (payment.Declined(payment_id=uuid4(), code="card_declined"), "card_declined"),
        (
            ApplicationError("used", type=payment.PAYMENT_TOKEN_CONFLICT, non_retryable=True),
            "payment_token_conflict",
        ),
    ],
)
async def test_a_declined_payment_ends_the_order_at_the_deadline(
    harness: OrderHarness,
    make_order: Order,
    outcome: payment.ChargeOutcome | ApplicationError,
    reason: str,
) -> None:
    harness.payments.outcome = outcome
    order = make_order()
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.approve)

    waiting = await until(handle, waits_for(WaitingFor.PAYMENT_METHOD))
    result = await handle.result()

    assert waiting.status is OrderStatus.AWAITING_PAYMENT_METHOD
    assert reason in (waiting.reason or "")
    assert result.status is OrderStatus.PAYMENT_DECLINED
    assert result.payment_status is PaymentStatus.DECLINED
    assert (await harness.timeline(order.order_id))[-2:] == [
        "payment_declined",
        "payment_abandoned",
    ]


async def test_another_payment_method_is_another_attempt_under_another_token(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.outcome = payment.Declined(payment_id=uuid4(), code="card_declined")
    order = make_order()
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.approve)
    await until(handle, waits_for(WaitingFor.PAYMENT_METHOD))
    harness.payments.outcome = None

    await handle.execute_update(
        OrderWorkflow.change_payment_method, ChangePaymentMethod(payment_method="pm_other")
    )

    assert (await handle.result()).status is OrderStatus.SHIPPED
    attempts = [(one.payment_token, one.payment_method) for one in harness.payments.charges]
    assert attempts == [
        (f"{order.order_id}:1", "pm_card_visa"),
        (f"{order.order_id}:2", "pm_other"),
    ]


async def test_a_payment_method_that_is_not_awaited_is_rejected(
    harness: OrderHarness, make_order: Order
) -> None:
    handle = await harness.place(make_order())
    await until(handle, waits_for(WaitingFor.APPROVAL))

    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update(
            OrderWorkflow.change_payment_method, ChangePaymentMethod(payment_method="pm_other")
        )

    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == NOT_AWAITING_PAYMENT_METHOD
    await handle.signal(OrderWorkflow.cancel)
    await handle.result()


async def test_an_order_that_waits_for_a_payment_method_can_be_cancelled(
    harness: OrderHarness, make_order: Order
) -> None:
    harness.payments.outcome = payment.Declined(payment_id=uuid4(), code="card_declined")
    handle = await harness.place(make_order())
    await handle.signal(OrderWorkflow.approve)
    await until(handle, waits_for(WaitingFor.PAYMENT_METHOD))
    await handle.signal(OrderWorkflow.cancel)

    result = await handle.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.DECLINED,
    )
