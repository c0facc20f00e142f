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
    """The order was recorded."""
    ORDER_VALIDATED = "order_validated"
    """It satisfies every rule and waits for approval."""
    ORDER_REJECTED = "order_rejected"
    """It violates a rule, or an approver rejected it."""
    ADDRESS_CHANGED = "address_changed"
    """The delivery address was changed."""
    ADDRESS_CHANGE_REJECTED = "address_change_rejected"
    """A new address was rejected."""
    APPROVAL_REMINDER_SENT = "approval_reminder_sent"
    """The deadline of the approval is near."""
    ORDER_APPROVED = "order_approved"
    """It was approved."""
    ORDER_EXPIRED = "order_expired"
    """It was not approved in time."""
    ORDER_CANCELLED = "order_cancelled"
    """The order was cancelled, and everything is undone."""
    PAYMENT_CHARGED = "payment_charged"
    """The payment was captured."""
    PAYMENT_DECLINED = "payment_declined"
    """The provider declined the charge."""
    PAYMENT_METHOD_CHANGED = "payment_method_changed"
    """Another payment method was offered; it is charged next."""
    PAYMENT_ABANDONED = "payment_abandoned"
    """No other payment method was offered in time. The order ended."""
    SHIPPING_STARTED = "shipping_started"
    """The shipment was requested."""
    CARRIER_REJECTED_ADDRESS = "carrier_rejected_address"
    """The carrier rejected the address."""
    ORDER_SHIPPED = "order_shipped"
    """The carrier has the parcel."""
    ORDER_DELIVERED = "order_delivered"
    """The parcel was delivered."""
    ORDER_RETURNED = "order_returned"
    """The parcel came back."""
    ORDER_COMPLETED = "order_completed"
    """The order is paid, and nothing of it has to be shipped."""
    CANCELLATION_STARTED = "cancellation_started"
    """The order was cancelled after its approval. Compensations run."""
    REFUND_REQUESTED = "refund_requested"
    """A refund is reserved and is executed next."""
    PAYMENT_REFUNDED = "payment_refunded"
    """An amount was refunded; while some is left, `payment_status` is `partially_refunded`. The
    amount is 0 where a compensation found everything refunded already."""
    REFUND_FAILED = "refund_failed"
    """The provider rejected a refund. The order needs attention."""
    PAYMENT_VOIDED = "payment_voided"
    """The payment was voided: nothing was captured."""
    RETURN_REQUESTED = "return_requested"
    """A return of lines was requested."""
    RETURN_APPROVED = "return_approved"
    """The return was approved."""
    RETURN_REJECTED = "return_rejected"
    """The return was rejected. Its units can be returned again."""
    RETURN_CANCELLED = "return_cancelled"
    """The return was cancelled. Its units can be returned again."""
    RETURN_RECEIVED = "return_received"
    """The goods of the return are back. They are refunded next."""
    RETURN_REFUNDED = "return_refunded"
    """The return is refunded."""
    RETURN_REFUND_FAILED = "return_refund_failed"
    """The refund of the return was rejected. The order needs attention."""
    NEEDS_ATTENTION = "needs_attention"
    """A step keeps failing. It is still retried."""
    RETRY_REQUESTED = "retry_requested"
    """An operator retried the failing step."""
    ORDER_RECOVERED = "order_recovered"
    """An operator started the order's workflow again."""


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
