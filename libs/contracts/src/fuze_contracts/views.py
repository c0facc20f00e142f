"""The views that the order service publishes for reading, column by column.

A view is a contract like any message: its columns are the fields of the model, a column is only
ever added, and a test on either side holds it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from fuze_contracts.order import EventType, OrderStatus, PaymentStatus
from fuze_contracts.wire import Message

ORDERS_VIEW = "orders.published_orders"
"""One row an order: `PublishedOrder`."""

EVENTS_VIEW = "orders.published_events"
"""One row an event, keyed by `(order_id, seq)`: `PublishedEvent`."""


class PublishedOrder(Message):
    """An order as PostgreSQL holds it. Money in minor units, times in UTC."""

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    reason: str | None
    customer: str | None
    currency: str
    total_minor: int
    address: dict[str, Any]
    tracking_number: str | None
    fingerprint: str
    last_seq: int
    created_at: datetime
    updated_at: datetime


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
