"""All SQL that compares orders with the other systems. Each method is one transaction."""

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.order_states import OrderStatus, PaymentStatus
from fuze_order.messages import EndedOrder, EndedOrdersPage, RecordDiscrepancies
from fuze_order.tables import (
    OPEN_AFTER_SHIPMENT_PREDICATE,
    TERMINAL_PREDICATE,
    discrepancies,
    orders,
)

_OPEN_STATUSES = [status for status in OrderStatus if not status.is_terminal]
_PAGE_SIZE = 500
_IS_OPEN_AFTER_SHIPMENT = sa.or_(
    sa.and_(
        orders.c.status == OrderStatus.SHIPPED,
        orders.c.tracking_deadline.is_not(None),  # else the negation would be null
        orders.c.tracking_deadline > sa.func.now(),
    ),
    sa.and_(
        orders.c.status == OrderStatus.RETURNED,
        orders.c.payment_status == PaymentStatus.REFUNDING,
    ),
)
# The predicate of the partial index, which can contain no time.
_INDEXED_AFTER_SHIPMENT = sa.text(f"({OPEN_AFTER_SHIPMENT_PREDICATE})")
_IS_OPEN = sa.or_(orders.c.status.in_(_OPEN_STATUSES), _IS_OPEN_AFTER_SHIPMENT)
# As in the predicate of its index: a parameter would not match it.
_TERMINAL = sa.text(TERMINAL_PREDICATE)
_SELECT_ENDED = sa.select(
    orders.c.id.label("order_id"), orders.c.status, orders.c.updated_at.label("changed_at")
)
_IS_FAILING = orders.c.workflow_failing_since.is_not(None)
_BEFORE_EVERY_ID = UUID(int=0)


class ReconciliationRepository:
    """Orders as a whole."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open_orders(self, page_size: int) -> AsyncIterator[tuple[OrderStatus, list[UUID]]]:
        """Yield the ids of all open orders, in pages of one status, from an index alone."""
        for status in _OPEN_STATUSES:
            query = (
                sa.select(orders.c.created_at, orders.c.id)
                .where(orders.c.status == status)
                .order_by(orders.c.created_at, orders.c.id)
                .limit(page_size)
            )
            position = sa.tuple_(orders.c.created_at, orders.c.id)
            page = query
            while rows := await self._fetch(page):
                yield status, [row.id for row in rows]
                page = query.where(position > sa.tuple_(rows[-1].created_at, rows[-1].id))
        by_id = (
            sa.select(orders.c.id, orders.c.status)
            .where(_IS_OPEN_AFTER_SHIPMENT, _INDEXED_AFTER_SHIPMENT)
            .order_by(orders.c.id)
            .limit(page_size)
        )
        page = by_id
        while rows := await self._fetch(page):
            yield OrderStatus(rows[-1].status), [row.id for row in rows]
            page = by_id.where(orders.c.id > rows[-1].id)

    async def flag_missing(self, order_ids: Sequence[UUID], idle_for: timedelta) -> None:
        """Flag those of the orders that are still open, and did not change in the meantime."""
        statement = (
            sa.update(orders)
            .where(
                orders.c.id.in_(order_ids),
                orders.c.updated_at < sa.func.now() - idle_for,
                orders.c.workflow_missing_at.is_(None),
                _IS_OPEN,
            )
            .values(workflow_missing_at=sa.func.now(), needs_attention=True)
        )
        await self._execute(statement)

    async def count_missing(self) -> int:
        """Return the number of flagged orders; each needs attention, which has an index."""
        query = sa.select(sa.func.count()).where(
            orders.c.needs_attention, orders.c.workflow_missing_at.is_not(None)
        )
        async with self._engine.connect() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def update_failing(self, failing: Collection[UUID]) -> None:
        """Record and flag the orders that have a workflow that fails, and unflag the others.

        An order that is flagged for another reason stays as it is.
        """
        recorded = {row.id for row in await self._fetch(sa.select(orders.c.id).where(_IS_FAILING))}
        new, repaired = set(failing) - recorded, recorded - set(failing)
        begin = (
            sa.update(orders)
            .where(~_IS_FAILING, ~orders.c.needs_attention)
            .values(workflow_failing_since=sa.func.now(), needs_attention=True)
        )
        end = (
            sa.update(orders)
            .where(_IS_FAILING)
            .values(
                workflow_failing_since=None,
                needs_attention=orders.c.workflow_missing_at.is_not(None),
            )
        )
        for change, order_ids in ((begin, new), (end, repaired)):
            listed = list(order_ids)
            for first in range(0, len(listed), _PAGE_SIZE):
                page = listed[first : first + _PAGE_SIZE]
                await self._execute(change.where(orders.c.id.in_(page)))

    async def find_idle(
        self, order_ids: Sequence[UUID], status: OrderStatus, idle_for: timedelta
    ) -> list[UUID]:
        """Return those of the orders that have had the status for a while."""
        query = sa.select(orders.c.id).where(
            orders.c.id.in_(order_ids),
            orders.c.status == status,
            orders.c.updated_at < sa.func.now() - idle_for,
        )
        return [row.id for row in await self._fetch(query)]

    async def list_ended(self, page: EndedOrdersPage) -> list[EndedOrder]:
        """Return the next orders that have ended, in the order in which they did; at last none."""
        position = sa.tuple_(orders.c.updated_at, orders.c.id)
        query = (
            _SELECT_ENDED.where(
                position > sa.tuple_(page.changed_from, page.after or _BEFORE_EVERY_ID),
                orders.c.updated_at < page.changed_before,
                _TERMINAL,
                sa.not_(_IS_OPEN_AFTER_SHIPMENT),
            )
            .order_by(orders.c.updated_at, orders.c.id)
            .limit(_PAGE_SIZE)
        )
        return [EndedOrder.model_validate(row._asdict()) for row in await self._fetch(query)]

    async def list_discrepant(self) -> list[EndedOrder]:
        """Return the orders with open discrepancies, the oldest first, at most a page."""
        query = (
            _SELECT_ENDED.join(discrepancies, discrepancies.c.order_id == orders.c.id)
            .where(discrepancies.c.resolved_at.is_(None))
            .order_by(discrepancies.c.first_seen_at)
            .limit(_PAGE_SIZE)
        )
        return [EndedOrder.model_validate(row._asdict()) for row in await self._fetch(query)]

    async def record(self, command: RecordDiscrepancies) -> None:
        """Store what was found, and resolve what was not found again."""
        now = sa.func.now()
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(discrepancies)
                .where(
                    discrepancies.c.order_id.in_(command.order_ids),
                    discrepancies.c.resolved_at.is_(None),
                )
                .values(resolved_at=now)
            )
            for found in command.found:
                resolved_at = now if found.is_repaired else None
                values = {
                    "details": found.details,
                    "last_seen_at": now,
                    "resolved_at": resolved_at,
                }
                await connection.execute(
                    insert(discrepancies)
                    .values(order_id=found.order_id, kind=found.kind, **values)
                    .on_conflict_do_update(constraint="discrepancies_pkey", set_=values)
                )

    async def _execute(self, change: sa.Update) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(change)

    async def _fetch(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        async with self._engine.connect() as connection:
            rows: Sequence[sa.Row[Any]] = (await connection.execute(query)).all()
        return rows
