"""The views that services publish for reading, column by column.

A view is a contract like any message: its columns are the fields of the model, a column is only
ever added, and a test on either side holds it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from fuze_contracts.base import Message
from fuze_contracts.order import EventType, OrderStatus, PaymentStatus

ORDERS_VIEW = "orders.published_orders"
"""One row an order: `PublishedOrder`."""

EVENTS_VIEW = "orders.published_events"
"""One row an event, keyed by `(order_id, seq)`: `PublishedEvent`."""

PAYMENTS_VIEW = "payments.published_payments"
"""One row an attempt to charge: `PublishedPayment`."""

REFUNDS_VIEW = "payments.published_refunds"
"""One row a refund: `PublishedRefund`."""

DISCREPANCIES_VIEW = "payments.published_discrepancies"
"""One row a difference to the provider's books that nobody has resolved: `Discrepancy`."""


class OrderProgressView(Message):
    """How far an order has come: the part of its row that says so."""

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    last_seq: int
    tracking_deadline: datetime | None = None

    def is_closed(self, now: datetime) -> bool:
        """Whether nothing can become of the order any more, so that its row says it all."""
        if self.status is OrderStatus.SHIPPED:
            return self.tracking_deadline is None or self.tracking_deadline < now
        return self.status.is_terminal and self.payment_status is not PaymentStatus.REFUNDING


class PublishedOrder(OrderProgressView):
    """An order as PostgreSQL holds it. Money in minor units, times in UTC."""

    reason: str | None
    customer: str | None
    currency: str
    total_minor: int
    address: dict[str, Any]
    tracking_number: str | None
    fingerprint: str
    created_at: datetime
    updated_at: datetime
    needs_attention: bool = False
    payment_method: str | None = None


class PublishedOrderWithLines(PublishedOrder):
    """The same with its lines: `sku`, `quantity`, `unit_price_minor` of each, as ordered."""

    lines: list[dict[str, Any]]


class PublishedEvent(Message):
    """One thing that happened to an order: what, when, who, and the status it led to."""

    order_id: UUID
    seq: int
    type: EventType
    status: OrderStatus
    payment_status: PaymentStatus
    actor: str
    details: dict[str, Any]
    occurred_at: datetime
    recorded_at: datetime


class PublishedPayment(Message):
    """One attempt to charge. `refunded_minor` is given back, or about to be."""

    payment_id: UUID
    order_id: UUID
    payment_token: str
    state: str
    amount_minor: int
    currency: str
    payment_method: str | None
    provider_reference: str | None
    decline_code: str | None
    refunded_minor: int
    created_at: datetime
    updated_at: datetime


class PublishedRefund(Message):
    """One refund, whatever has become of it."""

    refund_id: UUID
    payment_id: UUID
    order_id: UUID
    state: str
    amount_minor: int
    currency: str
    reason: str
    provider_reference: str | None
    rejection_code: str | None
    created_at: datetime
    updated_at: datetime


class Discrepancy(Message):
    """What the provider's books and ours do not agree on, for a person to look at.

    `reference` is the provider's, or our payment's id where the provider has none.
    """

    kind: str
    reference: str
    order_id: UUID | None
    occurred_at: datetime
    details: dict[str, Any]
    first_seen_at: datetime
    last_seen_at: datetime
