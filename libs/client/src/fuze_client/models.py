"""What the API responds with: docs/reference/openapi.json says what each field means.

Amounts are integers in minor units.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fuze_client.enumerations import (
    ActivityState,
    AdjustmentKind,
    Availability,
    DiscrepancyKind,
    DurableUnavailable,
    EventType,
    Execution,
    LedgerAccount,
    LiveUnavailable,
    OrderStatus,
    PaymentState,
    PaymentStatus,
    RefundState,
    ReturnStatus,
    Scope,
    WaitingFor,
)


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Amounts(_Response):
    subtotal_minor: int
    discount_minor: int
    shipping_minor: int
    tax_minor: int
    fee_minor: int
    total_minor: int


class Address(_Response):
    """An address in the form of its country."""

    country: str
    name: str | None
    company: str | None
    line1: str | None
    line2: str | None
    city: str | None
    region: str | None
    postal_code: str | None
    phone: str | None
    email: str | None


class OrderLine(_Response):
    """A line of an order."""

    line_id: str
    sku: str
    name: str | None
    quantity: int
    unit_price_minor: int
    discount_minor: int
    tax_minor: int
    requires_shipping: bool
    total_minor: int


class Adjustment(_Response):
    """A discount, shipping cost, tax or fee of a whole order."""

    kind: AdjustmentKind | str
    label: str
    amount_minor: int


class OrderSummary(_Amounts):
    """An order in a list."""

    order_id: UUID
    status: OrderStatus | str
    payment_status: PaymentStatus | str
    reason: str | None
    reference: str | None
    customer: str | None
    customer_email: str | None
    customer_name: str | None
    currency: str
    tracking_number: str | None
    needs_attention: bool
    workflow_missing_at: datetime | None
    workflow_failing_since: datetime | None
    created_at: datetime
    updated_at: datetime


class Order(OrderSummary):
    """An order, as its row has it."""

    payment_method: str | None
    address: Address | None
    billing_address: Address | None
    lines: list[OrderLine]
    adjustments: list[Adjustment]
    metadata: dict[str, str]
    trace_id: str | None
    last_seq: int
    status_url: str
    events_url: str
    payments_url: str
    returns_url: str


class ListOrdersResponse(_Response):
    """A page of orders; `next` is the cursor of the next page."""

    orders: list[OrderSummary]
    next: str | None


class OrderAcceptedResponse(_Response):
    """The order was accepted, and will be recorded."""

    order_id: UUID
    workflow_id: str
    status: str = "received"
    status_url: str


class Event(_Response):
    """An event of an order; `seq` counts them from 1."""

    seq: int
    type: EventType | str
    status: OrderStatus | str
    payment_status: PaymentStatus | str
    actor: str
    details: dict[str, Any]
    occurred_at: datetime


class FeedEvent(Event):
    """An event in the feed of all orders."""

    order_id: UUID


class ListEventsResponse(_Response):
    """The events of an order."""

    order_id: UUID
    events: list[Event]


class ListFeedResponse(_Response):
    """A page of the feed; store `next` once the events are processed."""

    events: list[FeedEvent]
    next: str
    has_more: bool


class StreamTicketResponse(_Response):
    """A credential for the event stream of one order, in a URL for a browser."""

    ticket: str
    expires_at: datetime
    stream_url: str


class DurableOrder(_Amounts):
    """The part of a status that PostgreSQL has."""

    status: OrderStatus | str
    payment_status: PaymentStatus | str
    reason: str | None
    tracking_number: str | None
    last_seq: int
    reference: str | None
    customer: str | None
    currency: str
    address: Address | None
    created_at: datetime
    updated_at: datetime
    last_event: Event


class PendingActivity(_Response):
    """An activity of an order's workflow that has not ended."""

    name: str
    state: ActivityState | str
    attempt: int
    last_failure: str | None = None
    next_attempt_at: datetime | None = None


class LiveOrder(_Response):
    """The part of a status that Temporal has."""

    execution: Execution | str
    pending_activities: list[PendingActivity] = Field(default_factory=list)
    status: OrderStatus | str | None = None
    payment_status: PaymentStatus | str | None = None
    last_seq: int | None = None
    status_since: datetime | None = None
    waiting_for: WaitingFor | str | None = None
    deadline: datetime | None = None
    last_error: str | None = None
    reason: str | None = None
    tracking_number: str | None = None
    needs_attention: bool = False


class OrderStatusResponse(_Response):
    """The status of an order; `unavailable` says why a part of it is absent."""

    order_id: UUID
    status: OrderStatus | str | None
    payment_status: PaymentStatus | str | None
    reason: str | None = None
    waiting_for: WaitingFor | str | None = None
    deadline: datetime | None = None
    tracking_number: str | None = None
    needs_attention: bool = False
    durable: DurableOrder | None
    live: LiveOrder | None
    unavailable: dict[str, DurableUnavailable | LiveUnavailable | str]


class CommandResponse(_Response):
    """An order after a command."""

    order_id: UUID
    status: OrderStatus | str
    payment_status: PaymentStatus | str
    last_seq: int
    reason: str | None
    tracking_number: str | None
    needs_attention: bool


class ProblemSummary(_Response):
    """The problem of one order in a bulk response."""

    type: str
    title: str
    status: int
    detail: str


class BulkResult(_Response):
    """The result of one order: the order after the command, or a problem."""

    order_id: UUID
    order: CommandResponse | None
    problem: ProblemSummary | None


class BulkResponse(_Response):
    """The results of a bulk request, in the order of its ids."""

    results: list[BulkResult]
    succeeded: int
    failed: int


class Payment(_Response):
    """A charge of an order."""

    payment_id: UUID
    state: PaymentState | str
    amount_minor: int
    currency: str
    payment_method: str | None
    provider_reference: str | None
    decline_code: str | None
    refunded_minor: int
    created_at: datetime
    updated_at: datetime


class RefundLine(_Response):
    """What a refund is for; `line_id` is None for shipping."""

    line_id: str | None
    quantity: int
    amount_minor: int


class Refund(_Response):
    """A refund of a charge."""

    refund_id: UUID
    payment_id: UUID
    state: RefundState | str
    amount_minor: int
    currency: str
    lines: list[RefundLine]
    reason: str | None
    actor: str
    provider_reference: str | None
    rejection_code: str | None
    created_at: datetime
    updated_at: datetime


class ListPaymentsResponse(_Response):
    """The charges and refunds of an order."""

    order_id: UUID
    payments: list[Payment]
    refunds: list[Refund]


class LedgerEntry(_Response):
    """A debit or a credit; `journal_id` is the id of the payment, or that of the refund."""

    journal_id: UUID
    payment_id: UUID
    account: LedgerAccount | str
    debit_minor: int
    credit_minor: int
    currency: str
    recorded_at: datetime


class ListLedgerEntriesResponse(_Response):
    """The ledger of an order's payments, oldest entry first."""

    order_id: UUID
    entries: list[LedgerEntry]


class RefundAcceptedResponse(_Response):
    """The amount is reserved; the refund will be executed."""

    order_id: UUID
    refund_id: UUID
    amount_minor: int
    currency: str
    lines: list[RefundLine]
    payments_url: str


class ReturnLine(_Response):
    """Units of a line that come back."""

    line_id: str
    quantity: int


class Return(_Response):
    """A return of units of an order."""

    return_id: UUID
    order_id: UUID
    status: ReturnStatus | str
    lines: list[ReturnLine]
    include_shipping: bool
    reason: str | None
    actor: str
    amount_minor: int | None
    currency: str
    refund_code: str | None
    created_at: datetime
    updated_at: datetime


class ListReturnsResponse(_Response):
    """The returns of an order."""

    order_id: UUID
    returns: list[Return]


class ListOpenReturnsResponse(_Response):
    """The returns of all orders that wait for something, oldest first."""

    returns: list[Return]


class ReturnRequestedResponse(_Response):
    """The return was requested."""

    order_id: UUID
    return_id: UUID
    return_url: str


class ChangeReturnResponse(_Response):
    """A return after a command."""

    order_id: UUID
    return_id: UUID
    return_url: str
    status: ReturnStatus | str


class Discrepancy(_Response):
    """A difference between two systems of record."""

    kind: DiscrepancyKind | str
    reference: str
    order_id: UUID | None
    occurred_at: datetime
    details: dict[str, Any]
    first_seen_at: datetime
    last_seen_at: datetime


class ListDiscrepanciesResponse(_Response):
    """The discrepancies that are open."""

    discrepancies: list[Discrepancy]


class CallerResponse(_Response):
    """Who the caller is, and what it may do; `name` is None when authentication is off."""

    name: str | None
    scopes: list[Scope | str]


class Readiness(_Response):
    """What the gateway can do now. It accepts orders without PostgreSQL, not without Temporal."""

    status: str = "ready"
    temporal: str = "ok"
    postgresql: Availability | str


class TaskQueue(_Response):
    """A task queue, and when a worker last polled it."""

    name: str
    last_polled_at: datetime | None
    unpolled_since: datetime | None
    needs_attention: bool


class ListTaskQueuesResponse(_Response):
    """The task queues of the services."""

    task_queues: list[TaskQueue]
