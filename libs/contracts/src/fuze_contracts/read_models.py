"""Read models: the PostgreSQL views that services publish, column by column.

A view is a contract like a message: its columns are the fields of the model, and a column may only
be added. The publishing service's tests and the gateway's tests both compare them. Money is in
minor units, times are in UTC.
"""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from fuze_contracts.base import Message
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_contracts.returns import ReturnStatus
from fuze_contracts.webhooks import WebhookDeliveryState, WebhookDisabledReason

ORDERS_VIEW = "orders.published_orders"
"""One `PublishedOrder` per order."""

EVENTS_VIEW = "orders.published_events"
"""One `PublishedEvent` per event, keyed by `(order_id, seq)`."""

EVENT_FEED_VIEW = "orders.published_event_feed"
"""One `PublishedFeedEvent` per event, keyed by `(transaction_id, position)`.

It has the events of all transactions before the oldest one that is still open. So an event never
appears before one that was read already, however transactions interleave.
"""

RETURNS_VIEW = "orders.published_returns"
"""One `PublishedReturn` per return."""

PAYMENTS_VIEW = "payments.published_payments"
"""One `PublishedPayment` per charge attempt."""

REFUNDS_VIEW = "payments.published_refunds"
"""One `PublishedRefund` per refund."""

LEDGER_VIEW = "payments.published_ledger_entries"
"""One `PublishedLedgerEntry` per side of a journal entry."""

DISCREPANCIES_VIEW = "payments.published_discrepancies"
"""One `Discrepancy` per unresolved difference from the provider's records."""

ORDER_DISCREPANCIES_VIEW = "orders.published_discrepancies"
"""One `Discrepancy` per order whose payment or shipment contradicts its status."""

WEBHOOK_ENDPOINTS_VIEW = "webhooks.published_endpoints"
"""One `PublishedWebhookEndpoint` per endpoint. The gateway writes through it, and the next one."""

WEBHOOK_DELIVERIES_VIEW = "webhooks.published_deliveries"
"""One `PublishedWebhookDelivery` per message at an endpoint."""


PaymentStateName = Literal[
    "created", "submitted", "unknown", "under_review", "charged", "declined", "voided"
]
"""A test of the payment service compares it, and the next one, with what it stores."""

RefundStateName = Literal["created", "submitted", "unknown", "refunded", "rejected"]

LedgerAccountName = Literal["provider", "sales"]

DiscrepancyKindName = Literal[
    "unmatched_provider_charge",
    "duplicate_charge",
    "missing_capture",
    "amount_mismatch",
    "void_not_refunded",
    "missing_provider_charge",
    "missing_refund",
    "missing_provider_refund",
    "money_kept",
    "parcel_of_cancelled_order",
    "shipped_without_parcel",
]


class OrderProgressView(Message):
    """The part of an order's row that changes as the order progresses.

    `last_seq` is the number of its last event. `tracking_deadline` is None where the delivery of a
    shipped order is not tracked.
    """

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    last_seq: int
    tracking_deadline: datetime | None = None

    def is_closed(self, now: datetime) -> bool:
        """Return whether nothing can happen to the order any more, so that its row is final."""
        if self.status is OrderStatus.SHIPPED:
            return self.tracking_deadline is None or self.tracking_deadline < now
        return self.status.is_terminal and self.payment_status is not PaymentStatus.REFUNDING


class PublishedOrder(OrderProgressView):
    """An order as PostgreSQL holds it.

    `currency` is an ISO 4217 code, `address` and `billing_address` are each a
    `fuze_contracts.address.Address`, `fingerprint` is a hash of the request that placed the order,
    `owner` the id of the caller that placed it,
    `reference` the caller's own number. The amounts are a `fuze_contracts.order_lines.OrderTotals`.
    `workflow_missing_at` is when it was noticed that the open order has no workflow,
    `workflow_failing_since` when it was noticed that its workflow task fails.
    """

    reason: str | None
    customer: str | None
    currency: str
    total_minor: int
    address: dict[str, Any] | None
    tracking_number: str | None
    fingerprint: str
    created_at: datetime
    updated_at: datetime
    needs_attention: bool = False
    payment_method: str | None = None
    workflow_missing_at: datetime | None = None
    workflow_failing_since: datetime | None = None
    owner: str | None = None
    customer_email: str | None = None
    customer_name: str | None = None
    reference: str | None = None
    subtotal_minor: int = 0
    discount_minor: int = 0
    shipping_minor: int = 0
    tax_minor: int = 0
    fee_minor: int = 0
    billing_address: dict[str, Any] | None = None


class PublishedOrderWithLines(PublishedOrder):
    """An order with its lines, in the order of the request, and what a recovery needs.

    Each line is a `fuze_contracts.order_lines.OrderLine`, each adjustment an `Adjustment`.
    """

    lines: list[dict[str, Any]]
    payment_token: str
    approval_deadline: datetime
    adjustments: list[dict[str, Any]] = Field(default_factory=list)
    metadata: dict[str, str] = Field(default_factory=dict)
    trace_id: str | None = None


class PublishedEvent(Message):
    """One event of an order, and the status that it led to.

    `seq` counts an order's events from 1 without a gap. `actor` is who caused the event,
    `details` depend on its type.
    """

    order_id: UUID
    seq: int
    type: EventType
    status: OrderStatus
    payment_status: PaymentStatus
    actor: str
    details: dict[str, Any]
    occurred_at: datetime
    recorded_at: datetime


class PublishedFeedEvent(PublishedEvent):
    """An event in the feed of all orders, and the owner of its order.

    The feed is sorted by `transaction_id`, then `position`.
    """

    transaction_id: int
    position: int
    owner: str | None = None


class PublishedReturn(Message):
    """One return, in any status.

    `lines` are `RefundLine`s. `amount_minor` is what was refunded, None before. `refund_code` is
    why the refund was rejected. `actor` and `reason` are the request's.
    """

    return_id: UUID
    order_id: UUID
    status: ReturnStatus
    lines: list[dict[str, Any]]
    include_shipping: bool
    reason: str | None
    actor: str
    fingerprint: str | None
    amount_minor: int | None
    currency: str
    refund_code: str | None
    created_at: datetime
    updated_at: datetime


class PublishedPayment(Message):
    """One attempt to charge an order.

    `refunded_minor` includes refunds that are not executed yet. `decline_code` is the provider's.
    """

    payment_id: UUID
    order_id: UUID
    payment_token: str
    state: PaymentStateName
    amount_minor: int
    currency: str
    payment_method: str | None
    provider_reference: str | None
    decline_code: str | None
    refunded_minor: int
    created_at: datetime
    updated_at: datetime


class PublishedRefund(Message):
    """One refund, in any state. `rejection_code` is the provider's, `actor` who requested it.

    `lines` are `RefundedLine`s, of a refund by lines. `fingerprint` is a digest of its request.
    """

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    state: RefundStateName
    amount_minor: int
    currency: str
    reason: str | None
    provider_reference: str | None
    rejection_code: str | None
    created_at: datetime
    updated_at: datetime
    actor: str = "unknown"
    lines: list[dict[str, Any]] = Field(default_factory=list)
    fingerprint: str | None = None


class PublishedLedgerEntry(Message):
    """One side of a journal entry: a debit or a credit; the other one is 0.

    `journal_id` is the payment's id for its capture, and the refund's for a refund. `position`
    sorts entries by when they were inserted.
    """

    position: int
    journal_id: UUID
    payment_id: UUID
    order_id: UUID
    account: LedgerAccountName
    debit_minor: int
    credit_minor: int
    currency: str
    recorded_at: datetime


class Discrepancy(Message):
    """A difference between the provider's records and ours that needs an operator.

    `reference` is the provider's reference, or our payment's id where the provider has none.
    """

    kind: DiscrepancyKindName
    reference: str
    order_id: UUID | None
    occurred_at: datetime
    details: dict[str, Any]
    first_seen_at: datetime
    last_seen_at: datetime


class PublishedWebhookEndpoint(Message):
    """An endpoint of outgoing webhooks. No event types are all types; `deleted_at` is None."""

    endpoint_id: UUID
    url: str
    event_types: list[EventType]
    description: str
    is_enabled: bool
    disabled_reason: WebhookDisabledReason | None
    failing_since: datetime | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    has_failed_deliveries: bool


class PublishedWebhookDelivery(Message):
    """A message at an endpoint. A test message has neither `order_id` nor `seq`.

    `is_blocked`: it waits for an earlier message of its order.
    """

    position: int
    endpoint_id: UUID
    message_id: str
    order_id: UUID | None
    seq: int | None
    event_type: str
    state: WebhookDeliveryState
    attempts: int
    next_attempt_at: datetime
    last_attempted_at: datetime | None
    response_status: int | None
    response_body: str | None
    error: str | None
    created_at: datetime
    delivered_at: datetime | None
    is_blocked: bool
