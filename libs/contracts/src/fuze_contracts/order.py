"""The order service, as others see it."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from temporalio import workflow

from fuze_contracts.base import Message
from fuze_contracts.money import Money
from fuze_contracts.shipping import Address, DeliveryStatusChanged

ORDER_TASK_QUEUE = "order"

ORDER_REJECTED = "OrderRejected"
"""Final: the order breaks a rule. The rejection is committed before this is raised."""

ORDER_ID_TAKEN = "OrderIdTaken"
"""Final: PostgreSQL already holds an order of this id that another workflow wrote."""

NOT_AWAITING_PAYMENT_METHOD = "NotAwaitingPaymentMethod"
"""Why an update is refused: the order does not wait for a payment method."""

NOT_AWAITING_APPROVAL = "NotAwaitingApproval"
"""Why an update is refused: the order waits for no approval, or no longer."""

ALREADY_APPROVED = "AlreadyApproved"
"""Why an update is refused: somebody has approved the order before."""

ALREADY_CANCELLED = "AlreadyCancelled"
"""Why an update is refused: somebody has cancelled the order before."""

TOO_LATE_TO_CANCEL = "TooLateToCancel"
"""Why an update is refused: the parcel is being handed to the carrier, or the order has ended."""

TOO_LATE_TO_CHANGE_ADDRESS = "TooLateToChangeAddress"
"""Why an update is refused: the parcel is being handed to the carrier, or the order has ended."""

ADDRESS_INVALID = "AddressInvalid"
"""Why an update is refused: the address breaks a rule, which the event names."""

ADDRESS_CHANGE_LIMIT = "AddressChangeLimitReached"
"""Why an update is refused: an order changes its address so many times and no more."""

NOTHING_TO_RETRY = "NothingToRetry"
"""Why an update is refused: no step of the order needs attention."""


class OrderStatus(StrEnum):
    """Where an order stands. Every value from `SHIPPED` on is where an order can end."""

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
    REJECTED = "rejected"
    EXPIRED = "expired"
    PAYMENT_DECLINED = "payment_declined"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the order goes nowhere from here."""
        return self in TERMINAL_STATUSES


TERMINAL_STATUSES = frozenset(
    {
        OrderStatus.SHIPPED,
        OrderStatus.DELIVERED,
        OrderStatus.RETURNED,
        OrderStatus.REJECTED,
        OrderStatus.EXPIRED,
        OrderStatus.PAYMENT_DECLINED,
        OrderStatus.CANCELLED,
    }
)


class PaymentStatus(StrEnum):
    """What has become of the order's money."""

    NONE = "none"
    PENDING = "pending"
    CHARGED = "charged"
    DECLINED = "declined"
    REFUNDING = "refunding"
    """Whatever was taken is being given back; it may turn out that nothing was."""
    REFUNDED = "refunded"


class EventType(StrEnum):
    """What can happen to an order, in the words of its timeline."""

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
    CANCELLATION_STARTED = "cancellation_started"
    PAYMENT_REFUNDED = "payment_refunded"
    PAYMENT_VOIDED = "payment_voided"
    NEEDS_ATTENTION = "needs_attention"
    RETRY_REQUESTED = "retry_requested"


class OrderLine(Message):
    """So many of one article, each at `unit_price_minor` minor units of the order's currency."""

    sku: str
    quantity: int
    unit_price_minor: int


class PlaceOrder(Message):
    """Everything an order is, as its workflow receives it.

    `fingerprint` is a digest of the caller's request: a repeated start with the same one is the
    same order. The times travel here, so that a replay never depends on a process's settings: how
    long the order waits for approval, how long before that runs out somebody is reminded, how long
    it waits for another payment method or address once one was refused, and after how long a step
    that keeps failing needs attention. `auto_approve_limit` is the total, in minor units, that
    needs nobody's approval. The order follows its parcel for `delivery_tracking_period`, or ends
    when it
    is shipped. `placed_by` is whom the gateway knows as its caller.
    """

    order_id: UUID
    address: Address
    fingerprint: str
    customer: str | None = None
    lines: tuple[OrderLine, ...] = ()
    currency: str = "USD"
    payment_method: str | None = None
    payment_token: str
    approval_timeout: timedelta = timedelta(days=7)
    payment_method_timeout: timedelta = timedelta(days=3)
    approval_reminder_before: timedelta = timedelta(days=1)
    address_timeout: timedelta = timedelta(days=7)
    step_failure_alert_after: timedelta = timedelta(hours=1)
    auto_approve_limit: int | None = None
    delivery_tracking_period: timedelta | None = None
    placed_by: str | None = None

    @property
    def total_minor(self) -> int:
        """The sum of the lines in minor units; zero without lines. Of a bad order it may be any."""
        return sum(line.quantity * line.unit_price_minor for line in self.lines)

    @property
    def total(self) -> Money:
        """The sum of the lines; a valid order's always fits."""
        return Money(amount_minor=self.total_minor, currency=self.currency)


class ApproveOrder(Message):
    """Someone lets the order proceed."""

    actor: str = "unknown"


class RejectOrder(Message):
    """Someone who was asked for approval says no."""

    actor: str = "unknown"
    reason: str | None = None


class CancelOrder(Message):
    """Someone wants the order stopped."""

    actor: str = "unknown"
    reason: str | None = None


class ChangeAddress(Message):
    """Someone wants the parcel sent elsewhere."""

    address: Address
    actor: str = "unknown"


class ChangePaymentMethod(Message):
    """Someone offers another way to pay, after one was declined."""

    payment_method: str
    actor: str = "unknown"


class RetryOrder(Message):
    """Someone wants the step that needs attention tried now."""

    actor: str = "unknown"


class StepFailure(Message):
    """A step keeps failing; `last_error` is why it did the last time."""

    step: str
    last_error: str | None = None


class OrderResult(Message):
    """How an order ended. `reason` is set when it did not ship."""

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    reason: str | None = None
    tracking_number: str | None = None


class WaitingFor(StrEnum):
    """Whom a running order waits for."""

    DATABASE = "database"
    APPROVAL = "approval"
    PAYMENT = "payment"
    PAYMENT_METHOD = "payment_method"
    SHIPPING = "shipping"
    ADDRESS = "address"
    REFUND = "refund"
    DELIVERY = "delivery"


class OrderSnapshot(Message):
    """The answer of a running OrderWorkflow.

    `last_seq` is the number of the last committed event, so that a reader who also has the row
    knows which of the two is newer. `last_error` says why the order waits for the database, while
    it does. Times are UTC.
    """

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    last_seq: int
    status_since: datetime
    waiting_for: WaitingFor | None = None
    deadline: datetime | None = None
    last_error: str | None = None
    reason: str | None = None
    tracking_number: str | None = None
    needs_attention: bool = False


@workflow.defn
class OrderWorkflow(ABC):
    """One order, from received to its end.

    A rejected order fails the workflow with `ORDER_REJECTED`; every other end is a result.
    """

    @workflow.run
    @abstractmethod
    async def run(self, command: PlaceOrder) -> OrderResult:
        """Return when the order has ended."""

    @workflow.signal
    @abstractmethod
    async def approve(self, approval: ApproveOrder = ApproveOrder()) -> None:
        """Let a waiting order proceed; without effect once it does, or has ended."""

    @workflow.signal
    @abstractmethod
    async def cancel(self, request: CancelOrder = CancelOrder()) -> None:
        """Stop the order; without effect once its parcel is being handed to the carrier."""

    @workflow.signal
    @abstractmethod
    async def change_address(self, request: ChangeAddress) -> None:
        """Send the parcel elsewhere; without effect once it is being handed to the carrier."""

    @workflow.signal
    @abstractmethod
    async def report_step_failure(self, trouble: StepFailure) -> None:
        """Hear from the shipment that a step of it keeps failing."""

    @workflow.signal
    @abstractmethod
    async def report_delivery_status(self, parcel: DeliveryStatusChanged) -> None:
        """Hear from the shipping service how far the parcel has come."""

    @workflow.update
    @abstractmethod
    async def approve_order(self, approval: ApproveOrder) -> OrderSnapshot:
        """Let a waiting order proceed; else `ALREADY_APPROVED` or `NOT_AWAITING_APPROVAL`."""

    @workflow.update
    @abstractmethod
    async def reject_order(self, request: RejectOrder) -> OrderSnapshot:
        """End a waiting order; else `NOT_AWAITING_APPROVAL`."""

    @workflow.update
    @abstractmethod
    async def cancel_order(self, request: CancelOrder) -> OrderSnapshot:
        """Stop the order and give its money back; else `ALREADY_CANCELLED`, `TOO_LATE_TO_CANCEL`.

        The answer comes with the decision; what is to be undone then may take longer.
        """

    @workflow.update
    @abstractmethod
    async def change_order_address(self, request: ChangeAddress) -> OrderSnapshot:
        """Send the parcel elsewhere.

        Else `ADDRESS_INVALID`, `TOO_LATE_TO_CHANGE_ADDRESS` or `ADDRESS_CHANGE_LIMIT`.
        """

    @workflow.update
    @abstractmethod
    async def change_payment_method(self, request: ChangePaymentMethod) -> OrderSnapshot:
        """Pay otherwise after a decline; else `NOT_AWAITING_PAYMENT_METHOD`."""

    @workflow.update
    @abstractmethod
    async def retry_step(self, request: RetryOrder) -> OrderSnapshot:
        """Try the step that needs attention now; else `NOTHING_TO_RETRY`."""

    @workflow.query
    @abstractmethod
    def status(self) -> OrderSnapshot:
        """Say where the order stands now."""
