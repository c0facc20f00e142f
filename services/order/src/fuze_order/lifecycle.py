"""Where each event leads: the order's states as one table. Pure.

```
received ─► awaiting_approval ─► approved ─► paid ─► preparing ─► shipped ─► delivered
```
An event that leads to no status of its own leaves the order where it is.
"""

from fuze_contracts.order import EventType, OrderStatus, PaymentStatus

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
    EventType.CANCELLATION_STARTED: OrderStatus.CANCELLING,
    EventType.ORDER_CANCELLED: OrderStatus.CANCELLED,
}
_PAYMENT_AFTER = {
    EventType.ORDER_APPROVED: PaymentStatus.PENDING,
    EventType.PAYMENT_CHARGED: PaymentStatus.CHARGED,
    EventType.PAYMENT_DECLINED: PaymentStatus.DECLINED,
    EventType.PAYMENT_METHOD_CHANGED: PaymentStatus.PENDING,
    EventType.CANCELLATION_STARTED: PaymentStatus.REFUNDING,
    EventType.ORDER_RETURNED: PaymentStatus.REFUNDING,
    EventType.PAYMENT_REFUNDED: PaymentStatus.REFUNDED,
    EventType.PAYMENT_VOIDED: PaymentStatus.NONE,
}

_LEAVES_TROUBLE = {EventType.ADDRESS_CHANGED, EventType.ADDRESS_CHANGE_REJECTED}


def status_after(event: EventType, status: OrderStatus) -> OrderStatus:
    """Return where the order is after the event."""
    return _STATUS_AFTER.get(event, status)


def payment_after(event: EventType, payment: PaymentStatus) -> PaymentStatus:
    """Return what has become of the money after the event."""
    if event is EventType.ORDER_CANCELLED and payment is PaymentStatus.PENDING:
        return PaymentStatus.NONE  # nobody was asked for it yet
    return _PAYMENT_AFTER.get(event, payment)


def needs_attention_after(event: EventType, *, needs_attention: bool) -> bool:
    """Return whether somebody should look after the event.

    What is only heard while a step is in trouble mends nothing.
    """
    if event in _LEAVES_TROUBLE:
        return needs_attention
    return event is EventType.NEEDS_ATTENTION
