"""Reads of the published views of orders in PostgreSQL."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, DateTime, Integer, Uuid, any_, bindparam, select
from sqlalchemy.dialects.postgresql import JSONB

from fuze_contracts.order_states import OrderStatus
from fuze_contracts.read_models import (
    EVENTS_VIEW,
    ORDERS_VIEW,
    OrderProgressView,
    PublishedEvent,
    PublishedOrder,
    PublishedOrderWithLines,
)
from fuze_gateway.database import Database, Statement, published_view

ORDERS = published_view(
    ORDERS_VIEW,
    PublishedOrderWithLines,
    order_id=Uuid(),
    address=JSONB(),
    billing_address=JSONB(),
    lines=JSONB(),
    adjustments=JSONB(),
    metadata=JSONB(),
    created_at=DateTime(timezone=True),
    updated_at=DateTime(timezone=True),
)
ORDER_COLUMNS = [ORDERS.c[name] for name in PublishedOrder.model_fields]
"""Without the lines, which cost a subquery."""

_EVENTS = published_view(
    EVENTS_VIEW, PublishedEvent, order_id=Uuid(), seq=Integer(), details=JSONB()
)
_EVENT_PREFIX = "event_"

_has_id = ORDERS.c.order_id == bindparam("order_id", type_=Uuid())
_any_id = any_(bindparam("order_ids", type_=ARRAY(Uuid())))

_FINGERPRINT = Statement.compile(select(ORDERS.c.fingerprint).where(_has_id))
_OWNER = Statement.compile(select(ORDERS.c.owner).where(_has_id))
_STATUS_AND_OWNER = Statement.compile(select(ORDERS.c.status, ORDERS.c.owner).where(_has_id))
_STATUS = Statement.compile(select(ORDERS.c.status).where(_has_id))
_ORDER = Statement.compile(select(ORDERS).where(_has_id))
_ORDER_WITH_LAST_EVENT = Statement.compile(
    select(*ORDER_COLUMNS, *(c.label(f"{_EVENT_PREFIX}{c.name}") for c in _EVENTS.c))
    .join(
        _EVENTS,
        (_EVENTS.c.order_id == ORDERS.c.order_id) & (_EVENTS.c.seq == ORDERS.c.last_seq),
    )
    .where(_has_id)
)
_PROGRESS = Statement.compile(
    select(*(ORDERS.c[name] for name in OrderProgressView.model_fields)).where(
        ORDERS.c.order_id == _any_id
    )
)
_EVENTS_OF_ORDER = Statement.compile(
    select(_EVENTS)
    .where(_EVENTS.c.order_id == bindparam("order_id", type_=Uuid()))
    .order_by(_EVENTS.c.seq)
)
_EVENTS_AFTER = Statement.compile(
    select(_EVENTS)
    .where(_EVENTS.c.order_id == _any_id, _EVENTS.c.seq > bindparam("seq", type_=Integer()))
    .order_by(_EVENTS.c.order_id, _EVENTS.c.seq)
)


class OrderQueries:
    """Reads of orders and their events.

    Every method raises `UpstreamUnavailableError` when PostgreSQL is unavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_fingerprint(self, order_id: UUID) -> str | None:
        """Return the fingerprint of the request that started the order, or None without a row."""
        rows = await self._database.fetch(_FINGERPRINT, order_id=order_id)
        return str(rows[0]["fingerprint"]) if rows else None

    async def get_owner(self, order_id: UUID) -> str | None:
        """Return the owner in the order's row, or None without a row or an owner."""
        rows = await self._database.fetch(_OWNER, order_id=order_id)
        return rows[0]["owner"] if rows else None

    async def get_status(self, order_id: UUID) -> OrderStatus | None:
        """Return the status in the order's row, or None without a row."""
        rows = await self._database.fetch(_STATUS, order_id=order_id)
        return OrderStatus(str(rows[0]["status"])) if rows else None

    async def get_status_and_owner(self, order_id: UUID) -> tuple[OrderStatus, str | None] | None:
        """Return the status and the owner in the order's row, or None without a row."""
        rows = await self._database.fetch(_STATUS_AND_OWNER, order_id=order_id)
        return (OrderStatus(str(rows[0]["status"])), rows[0]["owner"]) if rows else None

    async def get_order(self, order_id: UUID) -> dict[str, Any] | None:
        """Return the columns of `PublishedOrderWithLines`, or None without a row."""
        rows = await self._database.fetch(_ORDER, order_id=order_id)
        return rows[0] if rows else None

    async def get_order_with_last_event(
        self, order_id: UUID
    ) -> tuple[PublishedOrder, PublishedEvent] | None:
        """Return the row and its last event in one snapshot, or None without a row."""
        rows = await self._database.fetch(_ORDER_WITH_LAST_EVENT, order_id=order_id)
        if not rows:
            return None
        [row] = rows
        event = {name: row[f"{_EVENT_PREFIX}{name}"] for name in PublishedEvent.model_fields}
        return PublishedOrder.model_validate(row), PublishedEvent.model_validate(event)

    async def get_progress(self, order_ids: Collection[UUID]) -> list[OrderProgressView]:
        """Return the progress of each of these orders that has a row."""
        rows = await self._database.fetch(_PROGRESS, order_ids=list(order_ids))
        return [OrderProgressView.model_validate(row) for row in rows]

    async def list_events(self, order_id: UUID) -> list[PublishedEvent]:
        """Return the events of an order, oldest first; empty without a row."""
        rows = await self._database.fetch(_EVENTS_OF_ORDER, order_id=order_id)
        return [PublishedEvent.model_validate(row) for row in rows]

    async def list_events_after(self, last_seq: Mapping[UUID, int]) -> list[PublishedEvent]:
        """Return the events of each order after its given sequence number."""
        if not last_seq:
            return []
        lowest = min(last_seq.values())
        rows = await self._database.fetch(_EVENTS_AFTER, order_ids=list(last_seq), seq=lowest)
        events = [PublishedEvent.model_validate(row) for row in rows]
        return [event for event in events if event.seq > last_seq[event.order_id]]
