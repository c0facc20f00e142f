"""The state machine of an order: where each event leads, and what each status implies. Pure.

```
received ─► awaiting_approval ─► approved ─► paid ─► preparing ─► shipped ─► delivered
                                              └───► completed: nothing has to be shipped
```
An event without a status of its own leaves the order where it is.
"""

from collections.abc import Iterable
from enum import Flag, auto

from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus

_STATUS_AFTER = {
    EventType.ORDER_RECEIVED: OrderStatus.RECEIVED,
    EventType.ORDER_VALIDATED: OrderStatus.AWAITING_APPROVAL,
    EventType.ORDER_REJECTED: OrderStatus.REJECTED,
    EventType.ORDER_APPROVED: OrderStatus.APPROVED,
    EventType.ORDER_EXPIRED: OrderStatus.EXPIRED,
    EventType.PAYMENT_CHARGED: OrderStatus.PAID,
    EventType.PAYMENT_DECLINED: OrderStatus.AWAITING_PAYMENT_METHOD,
    EventType.PAYMENT_METHOD_CHANGED: OrderStatus.APPROVED,
    EventType.PAYMENT_ABANDONED: OrderStatus.PAYMENT_DECLINED,
    EventType.SHIPPING_STARTED: OrderStatus.PREPARING,
    EventType.CARRIER_REJECTED_ADDRESS: OrderStatus.AWAITING_ADDRESS,
    EventType.ORDER_SHIPPED: OrderStatus.SHIPPED,
    EventType.ORDER_DELIVERED: OrderStatus.DELIVERED,
    EventType.ORDER_RETURNED: OrderStatus.RETURNED,
    EventType.ORDER_COMPLETED: OrderStatus.COMPLETED,
    EventType.CANCELLATION_STARTED: OrderStatus.CANCELLING,
    EventType.ORDER_CANCELLED: OrderStatus.CANCELLED,
}
_PAYMENT_STATUS_AFTER = {
    EventType.ORDER_APPROVED: PaymentStatus.PENDING,
    EventType.PAYMENT_CHARGED: PaymentStatus.CHARGED,
    EventType.PAYMENT_DECLINED: PaymentStatus.DECLINED,
    EventType.PAYMENT_METHOD_CHANGED: PaymentStatus.PENDING,
    EventType.CANCELLATION_STARTED: PaymentStatus.REFUNDING,
    EventType.ORDER_RETURNED: PaymentStatus.REFUNDING,
    EventType.PAYMENT_REFUNDED: PaymentStatus.REFUNDED,
    EventType.PAYMENT_VOIDED: PaymentStatus.NONE,
}
_UNRELATED_TO_FAILURES = {
    EventType.ADDRESS_CHANGED,
    EventType.ADDRESS_CHANGE_REJECTED,
    # What fails after the shipment is a refund.
    EventType.ORDER_DELIVERED,
}

_FINAL_PAYMENT_STATUSES = frozenset({PaymentStatus.REFUNDING, PaymentStatus.REFUNDED})

_FAILED_REFUND = {EventType.REFUND_FAILED, EventType.RETURN_REFUND_FAILED}

AWAITING_DECISION = frozenset({OrderStatus.RECEIVED, OrderStatus.AWAITING_APPROVAL})
"""The statuses in which an order can be approved or rejected."""

_MAYBE_NEVER_APPROVED = AWAITING_DECISION | {
    OrderStatus.REJECTED,
    OrderStatus.EXPIRED,
    OrderStatus.CANCELLED,
}


class ExternalEffect(Flag):
    """What may exist outside the order service, and has to be undone by a cancellation."""

    NONE = 0
    CHARGE = auto()
    """The payment service may hold money: void the payment."""
    SHIPMENT = auto()
    """The shipping service may have a shipment: it decides whether it is too late."""


_EXTERNAL_EFFECTS = {
    OrderStatus.RECEIVED: ExternalEffect.NONE,
    OrderStatus.AWAITING_APPROVAL: ExternalEffect.NONE,
    OrderStatus.APPROVED: ExternalEffect.CHARGE,
    # The decline is committed: it is final for this payment token, and no other one is in use.
    OrderStatus.AWAITING_PAYMENT_METHOD: ExternalEffect.NONE,
    OrderStatus.PAID: ExternalEffect.CHARGE,
    OrderStatus.PREPARING: ExternalEffect.CHARGE | ExternalEffect.SHIPMENT,
    OrderStatus.AWAITING_ADDRESS: ExternalEffect.CHARGE | ExternalEffect.SHIPMENT,
}


def status_after(event: EventType, status: OrderStatus) -> OrderStatus:
    """Return the order's status after the event."""
    return _STATUS_AFTER.get(event, status)


def payment_status_after(event: EventType, payment_status: PaymentStatus) -> PaymentStatus:
    """Return the payment status after the event."""
    return _PAYMENT_STATUS_AFTER.get(event, payment_status)


def needs_attention_after(event: EventType, *, needs_attention: bool) -> bool:
    """Return whether an operator should look at the order after the event.

    A request that is decided while a step fails does not repair the step.
    """
    if event in _UNRELATED_TO_FAILURES:
        return needs_attention
    return event is EventType.NEEDS_ATTENTION


def payment_status_after_refund(
    payment_status: PaymentStatus, refunded_minor: int, total_minor: int
) -> PaymentStatus:
    """Return the payment status once a requested refund is executed.

    `refunded_minor` is the sum of the order's refunds. A compensation that runs, or is complete,
    refunds everything in any case.
    """
    if payment_status in _FINAL_PAYMENT_STATUSES:
        return payment_status
    if refunded_minor >= total_minor:
        return PaymentStatus.REFUNDED
    return PaymentStatus.PARTIALLY_REFUNDED


def is_failure_left(history: Iterable[tuple[EventType, str | None]]) -> bool:
    """Whether the order needs attention after these events, oldest first.

    Each comes with the id of its refund or return, if it has one. A refund makes up for failed ones
    only where it was requested after them, in knowledge of them.
    """
    is_step_failing = has_failed = False
    failing: set[str] = set()
    requested_since: set[str] = set()
    for event, subject in history:
        if subject is None:
            is_step_failing = needs_attention_after(event, needs_attention=is_step_failing)
        elif event is EventType.NEEDS_ATTENTION:
            failing.add(subject)
        elif event is EventType.REFUND_REQUESTED:
            requested_since.add(subject)
        elif event is EventType.PAYMENT_REFUNDED:
            failing.discard(subject)
            has_failed = has_failed and subject not in requested_since
        elif event in _FAILED_REFUND:
            failing.discard(subject)
            requested_since.clear()
            has_failed = True
    return is_step_failing or has_failed or bool(failing)


def is_approved(status: OrderStatus) -> bool:
    """Whether an order in this committed status was approved for certain."""
    return status not in _MAYBE_NEVER_APPROVED


def is_changeable(status: OrderStatus) -> bool:
    """Whether an order can be cancelled, or get another address, from this committed status."""
    return status in _EXTERNAL_EFFECTS


def external_effects(status: OrderStatus) -> ExternalEffect:
    """Return what may exist outside once the status is committed.

    The committed status is the only guard: a workflow that was reset remembers nothing of what its
    earlier run requested, while the row still says how far that run came.

    Raises:
        KeyError: the order can no longer be changed from this status.

    """
    return _EXTERNAL_EFFECTS[status]
