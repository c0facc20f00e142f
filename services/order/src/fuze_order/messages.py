"""The messages between the workflows of the order service and its own activities.

They never leave the service, but workflow histories contain them, so the rule for contracts holds:
a field is only ever added, with a default.
"""

from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from typing import Any
from uuid import UUID

from pydantic import Field, JsonValue, model_validator

from fuze_contracts.address import Address
from fuze_contracts.base import Message
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_rules import Violation
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_contracts.returns import RequestReturn, ReturnStatus


class InsertFailure(Enum):
    """Why an order cannot be stored."""

    ID_TAKEN = auto()
    """Another workflow stored an order of this id."""
    INVALID_VALUES = auto()
    """PostgreSQL cannot store its values: the order did not pass through the gateway."""


class DiscrepancyKind(StrEnum):
    """What contradicts the status of an order that has ended."""

    MONEY_KEPT = "money_kept"
    """The order ended without a shipment, and money is kept: it is refunded."""
    PARCEL_OF_CANCELLED_ORDER = "parcel_of_cancelled_order"
    """The order is cancelled, or had nothing to ship, and the carrier has a parcel: stop it."""
    SHIPPED_WITHOUT_PARCEL = "shipped_without_parcel"
    """The order is shipped, and no parcel was dispatched."""


class Transition(Message):
    """One event, and the order's row after it.

    `seq` counts an order's events 1, 2, 3, …; the workflow assigns it, so that a retry stores
    nothing twice. `needs_attention` says whether an operator should look at the order. `reason` is
    the reason of the status; of the fields after it, one that is None leaves its column unchanged.
    Text is stored without NUL, which PostgreSQL cannot store: a signal that contains one must not
    stop an order.
    """

    order_id: UUID
    seq: int
    type: EventType
    status: OrderStatus
    payment_status: PaymentStatus
    actor: str
    occurred_at: datetime
    reason: str | None = None
    address: Address | None = None
    tracking_number: str | None = None
    payment_method: str | None = None
    payment_token: str | None = None
    tracking_deadline: datetime | None = None
    needs_attention: bool = False
    details: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def violated_rules(self) -> str:
        """Return the messages of the violations in `details`, for a person; empty without any."""
        violations = self.details.get("violations")
        if not isinstance(violations, list):
            return ""
        return "; ".join(str(one.get("message")) for one in violations if isinstance(one, dict))

    def fulfils(self, requested: "Transition") -> bool:
        """Whether this committed transition is the one that was requested.

        A rejected address is the answer to the requested one. Otherwise a retry commits the same
        event; another one comes from a lost workflow task, or from the run before a reset.
        """
        if self.seq != requested.seq:
            return False
        if requested.type is EventType.ADDRESS_CHANGED:
            is_rejected = self.type is EventType.ADDRESS_CHANGE_REJECTED
            return is_rejected or (
                self.type is requested.type and self.address == requested.address
            )
        is_same_method = requested.payment_method in {None, self.payment_method}
        return self.type is requested.type and is_same_method

    @model_validator(mode="before")
    @classmethod
    def _without_nul(cls, data: Any) -> Any:  # noqa: ANN401 - unvalidated input
        return _replace_nul(data)


class OrderValidation(Message):
    """The result of validating an order; without violations it is valid."""

    violations: tuple[Violation, ...] = ()


class ReceiveOrder(Message):
    """Store a new order with its first two events: `order_received`, and the validation's outcome.

    `run_id` is the first run of the order's workflow: it distinguishes a retry from another order
    of the same id, and stays the same when the workflow is reset.
    """

    order: PlaceOrder
    run_id: str
    occurred_at: datetime
    outcome: Transition


class RecordTransitions(Message):
    """Record consecutive events of an order in one transaction."""

    transitions: tuple[Transition, ...] = Field(min_length=1)


class RecordReturn(Message):
    """Store a requested return, and its event."""

    request: RequestReturn
    occurred_at: datetime

    @model_validator(mode="before")
    @classmethod
    def _without_nul(cls, data: Any) -> Any:  # noqa: ANN401 - unvalidated input
        return _replace_nul(data)


class ReturnTransition(Message):
    """The next status of a return, and who or what caused it.

    `amount_minor` is what was refunded, `refund_code` why the refund was rejected.
    """

    order_id: UUID
    return_id: UUID
    status: ReturnStatus
    actor: str
    occurred_at: datetime
    reason: str | None = None
    amount_minor: int | None = None
    refund_code: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nul(cls, data: Any) -> Any:  # noqa: ANN401 - unvalidated input
        return _replace_nul(data)


class ResumeReturns(Message):
    """Run the workflows of received returns again that have not changed within `idle_for`."""

    idle_for: timedelta


def to_details(**addresses: Address | None) -> dict[str, JsonValue]:
    """Return the details of an event with these addresses, without their empty fields."""
    return {
        name: address.model_dump(mode="json", exclude_none=True)
        for name, address in addresses.items()
        if address
    }


def _replace_nul(part: Any) -> Any:  # noqa: ANN401 - any part of a message
    match part:
        case str() if "\0" in part:
            return part.replace("\0", "\ufffd")
        case dict():
            return {name: _replace_nul(value) for name, value in part.items()}
        case list() | tuple():
            return [_replace_nul(one) for one in part]
        case Message():
            return _replace_nul(part.model_dump())
        case _:
            return part


class CompareOpenOrders(Message):
    """Compare open orders with Temporal; an order that changed within `idle_for` is left out."""

    idle_for: timedelta


class OpenOrdersResult(Message):
    """The result of a comparison.

    `missing` are open orders without a workflow, `failing` orders whose workflow task fails.
    """

    open_orders: int
    missing: int
    rechecked: int
    failing: int = 0


class EndedOrdersPage(Message):
    """A page of orders that have ended, by the time of their last change (UTC).

    `after` is the last order of the page before, whose time is `changed_from`.
    """

    changed_from: datetime
    changed_before: datetime
    after: UUID | None = None

    def following(self, last: "EndedOrder") -> "EndedOrdersPage":
        """Return the page after this one."""
        return self.model_copy(update={"changed_from": last.changed_at, "after": last.order_id})


class EndedOrder(Message):
    """An order that has ended, and when it last changed (UTC)."""

    order_id: UUID
    status: OrderStatus
    changed_at: datetime


class ReconcileOrdersResult(Message):
    """What was compared. The next run starts where this one ended."""

    compared_until: datetime
    open: OpenOrdersResult
    ended_orders: int = 0
    repaired: int = 0
    discrepancies: int = 0


class ReconcileOrders(Message):
    """Compare open orders, and those that ended in the `look_back` before the last comparison.

    A run that continues another one has its next `page` and its `result` so far.
    """

    look_back: timedelta
    idle_for: timedelta
    page: EndedOrdersPage | None = None
    result: ReconcileOrdersResult | None = None


class OrderDiscrepancy(Message):
    """A contradiction; one that was repaired is stored as resolved."""

    order_id: UUID
    kind: DiscrepancyKind
    is_repaired: bool = False
    details: dict[str, JsonValue] = Field(default_factory=dict)


class RecordDiscrepancies(Message):
    """Store what was found of these orders, and resolve what was not found again."""

    order_ids: tuple[UUID, ...]
    found: tuple[OrderDiscrepancy, ...]


class EraseCustomer(Message):
    """Erase a customer's personal data.

    `names` are further names under which the customer is an actor or the owner of orders.
    """

    erasure_id: UUID
    customer: str
    names: tuple[str, ...] = ()


class CustomerOrders(Message):
    """The orders of a customer, and every name that the customer has in them."""

    order_ids: tuple[UUID, ...]
    names: tuple[str, ...]


class DeleteHistories(Message):
    """Delete the closed workflows of these orders from Temporal."""

    order_ids: tuple[UUID, ...]


class CustomerErased(Message):
    """How many orders were erased."""

    orders: int
