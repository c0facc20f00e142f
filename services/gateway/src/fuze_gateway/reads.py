"""What the gateway reads of the services: the views that they publish, nothing else."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    DateTime,
    Integer,
    TableClause,
    Uuid,
    any_,
    bindparam,
    column,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

from fuze_contracts.base import Message
from fuze_contracts.order import OrderStatus
from fuze_contracts.read_models import (
    DISCREPANCIES_VIEW,
    EVENTS_VIEW,
    ORDERS_VIEW,
    PAYMENTS_VIEW,
    REFUNDS_VIEW,
    Discrepancy,
    OrderProgressView,
    PublishedEvent,
    PublishedOrder,
    PublishedOrderWithLines,
    PublishedPayment,
    PublishedRefund,
)
from fuze_gateway.database import Database, Statement


def _view(name: str, row: type[Message], **types: TypeEngine[Any]) -> TableClause:
    """Describe a published view by its contract: its columns are the fields of the row's model."""
    schema, _, relation = name.partition(".")
    columns = [column(field, types.get(field)) for field in row.model_fields]
    return table(relation, *columns, schema=schema)


ORDERS = _view(
    ORDERS_VIEW,
    PublishedOrderWithLines,
    order_id=Uuid(),
    address=JSONB(),
    lines=JSONB(),
    created_at=DateTime(timezone=True),
)
ORDER_COLUMNS = [ORDERS.c[name] for name in PublishedOrder.model_fields]
"""Without the lines, which cost a query of their own."""

_EVENTS = _view(EVENTS_VIEW, PublishedEvent, order_id=Uuid(), seq=Integer(), details=JSONB())
_PAYMENTS = _view(PAYMENTS_VIEW, PublishedPayment, payment_id=Uuid(), order_id=Uuid())
_REFUNDS = _view(REFUNDS_VIEW, PublishedRefund, payment_id=Uuid(), order_id=Uuid())
_DISCREPANCIES = _view(DISCREPANCIES_VIEW, Discrepancy, order_id=Uuid(), details=JSONB())
_MOST_DISCREPANCIES = 500
_EVENT_PREFIX = "event_"

_this = bindparam("order_id", type_=Uuid())
_these = any_(bindparam("order_ids", type_=ARRAY(Uuid())))

_FINGERPRINT = Statement.of(select(ORDERS.c.fingerprint).where(ORDERS.c.order_id == _this))
_STATUS = Statement.of(select(ORDERS.c.status).where(ORDERS.c.order_id == _this))
_ORDER = Statement.of(select(ORDERS).where(ORDERS.c.order_id == _this))
_ORDER_WITH_LAST_EVENT = Statement.of(
    select(*ORDER_COLUMNS, *(c.label(f"{_EVENT_PREFIX}{c.name}") for c in _EVENTS.c))
    .join(
        _EVENTS,
        (_EVENTS.c.order_id == ORDERS.c.order_id) & (_EVENTS.c.seq == ORDERS.c.last_seq),
    )
    .where(ORDERS.c.order_id == _this)
)
_PROGRESS = Statement.of(
    select(*(ORDERS.c[name] for name in OrderProgressView.model_fields)).where(
        ORDERS.c.order_id == _these
    )
)
_EVENTS_OF_ONE = Statement.of(
    select(_EVENTS).where(_EVENTS.c.order_id == _this).order_by(_EVENTS.c.seq)
)
_EVENTS_AFTER = Statement.of(
    select(_EVENTS)
    .where(_EVENTS.c.order_id == _these, _EVENTS.c.seq > bindparam("seq", type_=Integer()))
    .order_by(_EVENTS.c.order_id, _EVENTS.c.seq)
)
_PAYMENTS_OF_ONE = Statement.of(
    select(_PAYMENTS)
    .where(_PAYMENTS.c.order_id == _this)
    .order_by(_PAYMENTS.c.created_at, _PAYMENTS.c.payment_id)
)
_REFUNDS_OF_ONE = Statement.of(
    select(_REFUNDS)
    .where(_REFUNDS.c.order_id == _this)
    .order_by(_REFUNDS.c.created_at, _REFUNDS.c.refund_id)
)
_NEWEST_DISCREPANCIES = Statement.of(
    select(_DISCREPANCIES)
    .order_by(_DISCREPANCIES.c.first_seen_at.desc())
    .limit(_MOST_DISCREPANCIES)
)
_ANSWER = Statement.of(text("SELECT 1 AS answer"))


class OrderReads:
    """What PostgreSQL knows of orders.

    Every method raises `SourceUnavailableError` when PostgreSQL does not answer within the limit.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fingerprint(self, order_id: UUID) -> str | None:
        """Return the digest of the request that made the order, or None without a row."""
        rows = await self._database.fetch(_FINGERPRINT, order_id=order_id)
        return str(rows[0]["fingerprint"]) if rows else None

    async def order_with_last_event(
        self, order_id: UUID
    ) -> tuple[PublishedOrder, PublishedEvent] | None:
        """Return the row and its last event as of one moment, or None without a row."""
        rows = await self._database.fetch(_ORDER_WITH_LAST_EVENT, order_id=order_id)
        if not rows:
            return None
        [row] = rows
        event = {name: row[f"{_EVENT_PREFIX}{name}"] for name in PublishedEvent.model_fields}
        return PublishedOrder.model_validate(row), PublishedEvent.model_validate(event)

    async def order(self, order_id: UUID) -> dict[str, Any] | None:
        """Return the columns of `PublishedOrderWithLines`, or None without a row."""
        rows = await self._database.fetch(_ORDER, order_id=order_id)
        return rows[0] if rows else None

    async def progress(self, order_ids: Collection[UUID]) -> list[OrderProgressView]:
        """Return how far each of these orders has come; those without a row are left out."""
        rows = await self._database.fetch(_PROGRESS, order_ids=list(order_ids))
        return [OrderProgressView.model_validate(row) for row in rows]

    async def events(self, order_id: UUID) -> list[PublishedEvent]:
        """Return the order's timeline, oldest first; empty without a row."""
        rows = await self._database.fetch(_EVENTS_OF_ONE, order_id=order_id)
        return [PublishedEvent.model_validate(row) for row in rows]

    async def events_after(self, seen: Mapping[UUID, int]) -> list[PublishedEvent]:
        """Return what happened to these orders after the event that is given for each."""
        if not seen:
            return []
        least = min(seen.values())
        rows = await self._database.fetch(_EVENTS_AFTER, order_ids=list(seen), seq=least)
        events = [PublishedEvent.model_validate(row) for row in rows]
        return [event for event in events if event.seq > seen[event.order_id]]

    async def status(self, order_id: UUID) -> OrderStatus | None:
        """Return where the row says that the order stands, or None without a row."""
        rows = await self._database.fetch(_STATUS, order_id=order_id)
        return OrderStatus(str(rows[0]["status"])) if rows else None

    async def payments(self, order_id: UUID) -> list[PublishedPayment]:
        """Return every attempt to charge the order, oldest first."""
        rows = await self._database.fetch(_PAYMENTS_OF_ONE, order_id=order_id)
        return [PublishedPayment.model_validate(row) for row in rows]

    async def refunds(self, order_id: UUID) -> list[PublishedRefund]:
        """Return every refund of the order, oldest first."""
        rows = await self._database.fetch(_REFUNDS_OF_ONE, order_id=order_id)
        return [PublishedRefund.model_validate(row) for row in rows]

    async def discrepancies(self) -> list[Discrepancy]:
        """Return what the provider's books and ours do not agree on, newest first, at most 500."""
        rows = await self._database.fetch(_NEWEST_DISCREPANCIES)
        return [Discrepancy.model_validate(row) for row in rows]

    async def check(self) -> None:
        """Return when PostgreSQL answers."""
        await self._database.fetch(_ANSWER)
