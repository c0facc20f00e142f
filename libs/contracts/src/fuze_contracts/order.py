"""The contract of the order service."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pydantic import Field, field_validator
from temporalio import workflow

from fuze_contracts.address import Address
from fuze_contracts.base import Message
from fuze_contracts.money import Money
from fuze_contracts.order_lines import (
    Adjustment,
    OrderLine,
    OrderTotals,
    number_lines,
    sum_totals,
)
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.shipping import DeliveryStatusChanged

ORDER_TASK_QUEUE = "order"

ORDER_REJECTED = "OrderRejected"
"""Final: the order is not valid. The rejection is committed before this is raised."""

ORDER_ID_TAKEN = "OrderIdTaken"
"""Final: another workflow has stored an order of this id."""

NOT_AWAITING_PAYMENT_METHOD = "NotAwaitingPaymentMethod"
"""An update is rejected: the order does not wait for a payment method."""

NOT_AWAITING_APPROVAL = "NotAwaitingApproval"
"""An update is rejected: the order does not wait for approval, or no longer."""

ALREADY_APPROVED = "AlreadyApproved"
"""An update is rejected: the order is approved already."""

ALREADY_CANCELLED = "AlreadyCancelled"
"""An update is rejected: the order is cancelled already."""

TOO_LATE_TO_CANCEL = "TooLateToCancel"
"""An update is rejected: the shipment is being dispatched, or the order has ended."""

TOO_LATE_TO_CHANGE_ADDRESS = "TooLateToChangeAddress"
"""An update is rejected: the shipment is being dispatched, or the order has ended."""

ADDRESS_INVALID = "AddressInvalid"
"""An update is rejected: the order cannot ship to the address; the message says why."""

ADDRESS_CHANGE_LIMIT = "AddressChangeLimitReached"
"""An update is rejected: the order has changed its address the maximum number of times."""

APPROVER_PLACED_ORDER = "ApproverPlacedOrder"
"""An update is rejected: the caller that placed the order, or is not known, must not approve it."""

ADDRESS_NEEDS_APPROVAL = "AddressNeedsApproval"
"""An update is rejected: the order is approved, and another address would not be."""

NOTHING_TO_RETRY = "NothingToRetry"
"""An update is rejected: no step of the order needs attention."""


SYSTEM_ACTORS = frozenset(
    {
        "auto-approval",
        "carrier",
        "customer",
        "order-service",
        "payment-service",
        "shipping-service",
        "temporal",
        "unknown",
    }
)
"""The actors of events that no named caller caused. A caller must not have such a name."""


class OrderSignal(StrEnum):
    """The signals of an order; the values are their names."""

    APPROVE = "approve"
    CANCEL = "cancel"
    CHANGE_ADDRESS = "change_address"


class CancelOrder(Message):
    """Cancel an order."""

    actor: str = "unknown"
    reason: str | None = None


class Recovery(Message):
    """Continue an order from its row: its workflow was terminated, deleted or lost.

    `received_at` is when the order was received (UTC): its deadlines count from then. With a
    `cancellation` the order is cancelled, and everything undone: in one message, so that it does
    not go on in between.
    """

    actor: str
    received_at: datetime
    cancellation: CancelOrder | None = None


class PlaceOrder(Message):
    """An order, as its workflow receives it.

    `fingerprint` is a digest of the caller's request: a repeated start with the same one is the
    same order. The timeouts are part of the message, so that a replay never depends on a process's
    settings: `approval_timeout`; `approval_reminder_before` its end; `payment_method_timeout` after
    a decline; `address_timeout` after the carrier rejected an address; `step_failure_alert_after`,
    when a step that keeps failing needs attention. An order with a total up to
    `auto_approve_limit`, in minor units, is approved automatically. The order tracks its delivery
    for `delivery_tracking_period`; without one it ends when it is shipped. `placed_by` is the name
    of the authenticated caller, `owner` its unique id. With `four_eyes` another caller has to
    approve the order, and its address cannot change after that. With `recovery` the order is in
    PostgreSQL already. `customer` is the caller's id of the customer, `reference` the caller's own
    number of the order. Without a line that requires shipping the order needs no `address`.
    Addresses are normalised; an `entered_…` one has the caller's spelling, if it differs. With
    `search_attributes` the workflow has those of `fuze_contracts.search_attributes`. `trace_id` is
    the trace of the request that placed the order, as 32 hexadecimal digits.
    """

    order_id: UUID
    address: Address | None = None
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
    recovery: Recovery | None = None
    owner: str | None = None
    four_eyes: bool = False
    adjustments: tuple[Adjustment, ...] = ()
    customer_email: str | None = None
    customer_name: str | None = None
    reference: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    billing_address: Address | None = None
    entered_address: Address | None = None
    entered_billing_address: Address | None = None
    search_attributes: bool = False
    trace_id: str | None = None

    @field_validator("lines")
    @classmethod
    def _number_lines(cls, lines: tuple[OrderLine, ...]) -> tuple[OrderLine, ...]:
        return number_lines(lines)

    @property
    def requires_shipping(self) -> bool:
        """Whether there is a parcel to ship; an order without lines is shipped, too."""
        return not self.lines or any(line.requires_shipping for line in self.lines)

    @property
    def totals(self) -> OrderTotals:
        """The breakdown of the total. Unbounded before validation."""
        return sum_totals(self.lines, self.adjustments)

    @property
    def total_minor(self) -> int:
        """What the order costs, in minor units; zero without lines. Unbounded before validation."""
        return self.totals.total_minor

    @property
    def total(self) -> Money:
        """What the order costs; it is within the limits of money once the order is valid."""
        return Money(amount_minor=self.total_minor, currency=self.currency)


class ApproveOrder(Message):
    """Approve an order. `caller` is the unique id of the authenticated caller."""

    actor: str = "unknown"
    caller: str | None = None


class RejectOrder(Message):
    """Reject an order that awaits approval."""

    actor: str = "unknown"
    reason: str | None = None


class ChangeAddress(Message):
    """Change the address of an order to a whole one, in its normalised form.

    `entered_address` has the caller's spelling, if it differs.
    """

    address: Address
    actor: str = "unknown"
    entered_address: Address | None = None


class ChangePaymentMethod(Message):
    """Offer another payment method after a decline."""

    payment_method: str
    actor: str = "unknown"


class RetryOrder(Message):
    """Retry the step that needs attention now."""

    actor: str = "unknown"


class StepFailure(Message):
    """A step keeps failing; `last_error` is the error of its last attempt."""

    step: str
    last_error: str | None = None


class OrderResult(Message):
    """The result of an order's workflow. `reason` is set when the order did not ship."""

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    reason: str | None = None
    tracking_number: str | None = None


class OrderSnapshot(Message):
    """The state of a running order, as its workflow answers a query or an update.

    `last_seq` is the number of the last committed event: compared with the row's, it shows which of
    the two is newer. `last_error` is set while the order waits for the database. Times are UTC.
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
    """The lifecycle of one order.

    A rejected order fails the workflow with `ORDER_REJECTED`; every other end returns a result.
    """

    @workflow.run
    @abstractmethod
    async def run(self, command: PlaceOrder) -> OrderResult:
        """Return the result when the order has ended."""

    @workflow.signal
    @abstractmethod
    async def approve(self, approval: ApproveOrder = ApproveOrder()) -> None:
        """Approve an order that awaits approval; without effect otherwise."""

    @workflow.signal
    @abstractmethod
    async def cancel(self, request: CancelOrder = CancelOrder()) -> None:
        """Cancel the order; without effect once its shipment is being dispatched."""

    @workflow.signal
    @abstractmethod
    async def change_address(self, request: ChangeAddress) -> None:
        """Change the address; without effect once the shipment is being dispatched."""

    @workflow.update
    @abstractmethod
    async def report_step_failure(self, failure: StepFailure) -> None:
        """Report that a step of the shipment keeps failing."""

    @workflow.signal
    @abstractmethod
    async def recheck_shipment(self) -> None:
        """Request the shipment again: its workflow has closed, and the order missed it."""

    @workflow.update
    @abstractmethod
    async def report_delivery_status(self, report: DeliveryStatusChanged) -> None:
        """Report the delivery status of the order's parcel."""

    @workflow.update
    @abstractmethod
    async def approve_order(self, approval: ApproveOrder) -> OrderSnapshot:
        """Approve the order; errors: `ALREADY_APPROVED`, `NOT_AWAITING_APPROVAL`."""

    @workflow.update
    @abstractmethod
    async def reject_order(self, request: RejectOrder) -> OrderSnapshot:
        """Reject an order that awaits approval; error: `NOT_AWAITING_APPROVAL`."""

    @workflow.update
    @abstractmethod
    async def cancel_order(self, request: CancelOrder) -> OrderSnapshot:
        """Cancel the order; errors: `ALREADY_CANCELLED`, `TOO_LATE_TO_CANCEL`.

        Returns once the cancellation is committed; the void or refund may take longer.
        """

    @workflow.update
    @abstractmethod
    async def change_order_address(self, request: ChangeAddress) -> OrderSnapshot:
        """Change the address.

        Errors: `ADDRESS_INVALID`, `TOO_LATE_TO_CHANGE_ADDRESS`, `ADDRESS_CHANGE_LIMIT`.
        """

    @workflow.update
    @abstractmethod
    async def change_payment_method(self, request: ChangePaymentMethod) -> OrderSnapshot:
        """Offer another payment method; error: `NOT_AWAITING_PAYMENT_METHOD`."""

    @workflow.update
    @abstractmethod
    async def retry_step(self, request: RetryOrder) -> OrderSnapshot:
        """Retry the step that needs attention now; error: `NOTHING_TO_RETRY`."""

    @workflow.query
    @abstractmethod
    def signal_rejection(self, signal: OrderSignal, caller: str | None = None) -> str | None:
        """Return the error with which the signal's update is rejected now, or None.

        `caller` is the id of the authenticated caller.

        A signal is dropped there. Temporal limits the signals to a workflow, and would refuse all
        later ones, so send none that is dropped.
        """

    @workflow.query
    @abstractmethod
    def status(self) -> OrderSnapshot:
        """Return the state of the order."""
