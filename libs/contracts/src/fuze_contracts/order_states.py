"""The states of an order, and the events that lead from one to another."""

from enum import StrEnum


class OrderStatus(StrEnum):
    """The status of an order. Every value from `SHIPPED` on is terminal."""

    RECEIVED = "received"
    AWAITING_APPROVAL = "awaiting_approval"
    APPROVED = "approved"
    AWAITING_PAYMENT_METHOD = "awaiting_payment_method"
    PAID = "paid"
    PREPARING = "preparing"
    AWAITING_ADDRESS = "awaiting_address"
    CANCELLING = "cancelling"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    RETURNED = "returned"
    COMPLETED = "completed"
    """Paid, and nothing of it had to be shipped."""
    REJECTED = "rejected"
    EXPIRED = "expired"
    PAYMENT_DECLINED = "payment_declined"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether an order can end in this status."""
        return self in TERMINAL_STATUSES


TERMINAL_STATUSES = frozenset(
    {
        OrderStatus.SHIPPED,
        OrderStatus.DELIVERED,
        OrderStatus.RETURNED,
        OrderStatus.COMPLETED,
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
        OrderStatus.PAYMENT_DECLINED,
        OrderStatus.CANCELLED,
    }
)


class PaymentStatus(StrEnum):
    """The status of an order's payment."""

    NONE = "none"
    PENDING = "pending"
    CHARGED = "charged"
    DECLINED = "declined"
    REFUNDING = "refunding"
    """The charge is being voided or refunded; it may turn out that nothing was captured."""
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class EventType(StrEnum):
    """The events of an order's timeline."""

    ORDER_RECEIVED = "order_received"
    ORDER_VALIDATED = "order_validated"
    ORDER_REJECTED = "order_rejected"
    ADDRESS_CHANGED = "address_changed"
    ADDRESS_CHANGE_REJECTED = "address_change_rejected"
    APPROVAL_REMINDER_SENT = "approval_reminder_sent"
    ORDER_APPROVED = "order_approved"
    ORDER_EXPIRED = "order_expired"
    ORDER_CANCELLED = "order_cancelled"
    PAYMENT_CHARGED = "payment_charged"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_METHOD_CHANGED = "payment_method_changed"
    PAYMENT_ABANDONED = "payment_abandoned"
    SHIPPING_STARTED = "shipping_started"
    CARRIER_REJECTED_ADDRESS = "carrier_rejected_address"
    ORDER_SHIPPED = "order_shipped"
    ORDER_DELIVERED = "order_delivered"
    ORDER_RETURNED = "order_returned"
    ORDER_COMPLETED = "order_completed"
    CANCELLATION_STARTED = "cancellation_started"
    REFUND_REQUESTED = "refund_requested"
    PAYMENT_REFUNDED = "payment_refunded"
    REFUND_FAILED = "refund_failed"
    PAYMENT_VOIDED = "payment_voided"
    RETURN_REQUESTED = "return_requested"
    RETURN_APPROVED = "return_approved"
    RETURN_REJECTED = "return_rejected"
    RETURN_CANCELLED = "return_cancelled"
    RETURN_RECEIVED = "return_received"
    RETURN_REFUNDED = "return_refunded"
    RETURN_REFUND_FAILED = "return_refund_failed"
    NEEDS_ATTENTION = "needs_attention"
    RETRY_REQUESTED = "retry_requested"
    ORDER_RECOVERED = "order_recovered"


class WaitingFor(StrEnum):
    """What a running order waits for."""

    DATABASE = "database"
    APPROVAL = "approval"
    PAYMENT = "payment"
    PAYMENT_METHOD = "payment_method"
    SHIPPING = "shipping"
    ADDRESS = "address"
    REFUND = "refund"
    DELIVERY = "delivery"
