"""Moves orders that ended long ago from PostgreSQL to files, while other orders are processed."""

import gzip
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.order_states import PaymentStatus
from fuze_contracts.returns import ReturnStatus
from fuze_order.tables import (
    OPEN_AFTER_SHIPMENT_PREDICATE,
    TERMINAL_PREDICATE,
    discrepancies,
    events,
    order_adjustments,
    order_lines,
    orders,
    return_lines,
    returns,
)

_READ_BATCH = 500
_DELETE_BATCH = 100
_OPEN_RETURNS = (ReturnStatus.REQUESTED, ReturnStatus.APPROVED, ReturnStatus.RECEIVED)
_LOCK_TIMEOUT = timedelta(seconds=1)

_Document = dict[str, Any]


class ArchiveInUseError(Exception):
    """Another process archives orders of this database."""


class OrderArchive:
    """A folder with one file a month, such as `orders-2026-01.jsonl.gz`; a line is an order.

    The month is that of the order's last change. `engine` connects as the role that owns the
    schema: the service itself cannot delete an order.
    """

    def __init__(self, engine: AsyncEngine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder

    async def archive(self, before: datetime) -> int:
        """Move the orders that ended, and did not change since, before this time; count them.

        It can be stopped at any time and run again: an order is deleted after its file is on disk,
        and a file that exists is replaced by one that has its orders, too.

        Raises:
            ArchiveInUseError: another process archives: two writers of one file would lose orders.

        """
        async with self._engine.connect() as holder:  # its transaction has no snapshot
            if not (await holder.execute(_ACQUIRE_LOCK)).scalar_one():
                raise ArchiveInUseError("another archive of this database runs")
            return await self._archive(before)

    async def _archive(self, before: datetime) -> int:
        moved = 0
        while month := await self._find_oldest_month(before):
            end = min(_next_month(month), before)
            archived = await self._write(month, end)
            deleted = await self._delete(archived)
            moved += deleted
            if deleted < len(archived) or not archived:
                break  # some changed meanwhile: the next run takes them
        return moved

    async def _find_oldest_month(self, before: datetime) -> datetime | None:
        query = sa.select(sa.func.min(orders.c.updated_at)).where(
            orders.c.updated_at < before, *_HAS_ENDED
        )
        async with self._engine.connect() as connection:
            oldest: datetime | None = (await connection.execute(query)).scalar_one()
        return oldest and oldest.replace(day=1, hour=0, minute=0, second=0, microsecond=0)

    async def _write(self, month: datetime, end: datetime) -> dict[str, str]:
        """Write the month's file; return the version of each order that was read for it."""
        path = self._folder / f"orders-{month:%Y-%m}.jsonl.gz"
        new = path.with_suffix(".new")
        archived: dict[str, str] = {}
        with new.open("wb") as raw, gzip.open(raw, "wt", encoding="utf-8") as file:
            async for document, version in self._read(month, end):
                archived[document["order"]["id"]] = version
                file.write(json.dumps(document, separators=(",", ":")) + "\n")
            for document in _read_file(path):
                if document["order"]["id"] not in archived:
                    file.write(json.dumps(document, separators=(",", ":")) + "\n")
        _flush(new)
        new.replace(path)
        _flush(self._folder)  # without it a power failure may undo the replacement
        return archived

    async def _read(self, start: datetime, end: datetime) -> AsyncIterator[tuple[_Document, str]]:
        after = sa.tuple_(orders.c.updated_at, orders.c.id)
        query = (
            sa.select(
                orders.c.updated_at,
                orders.c.id,
                _VERSION,
                sa.literal_column(_DOCUMENT, JSONB).label("document"),
            )
            .where(orders.c.updated_at >= start, orders.c.updated_at < end, *_HAS_ENDED)
            .order_by(orders.c.updated_at, orders.c.id)
            .limit(_READ_BATCH)
        )
        page = query
        while True:
            async with self._engine.connect() as connection:  # no transaction stays open
                rows = (await connection.execute(page)).all()
            for row in rows:
                yield row.document, row.version
            if len(rows) < _READ_BATCH:
                return
            page = query.where(after > sa.tuple_(rows[-1].updated_at, rows[-1].id))

    async def _delete(self, archived: dict[str, str]) -> int:
        deleted = 0
        ids = list(archived)
        for start in range(0, len(ids), _DELETE_BATCH):
            batch = {one: archived[one] for one in ids[start : start + _DELETE_BATCH]}
            deleted += await self._delete_batch(batch)
        return deleted

    async def _delete_batch(self, batch: dict[str, str]) -> int:
        """Delete those of the orders that are as they were archived, and that are not locked."""
        query = (
            sa.select(orders.c.id, _VERSION, orders.c.id.cast(sa.Text).label("text"))
            .where(orders.c.id.in_(list(batch)), *_HAS_ENDED)
            .with_for_update(skip_locked=True)
        )
        milliseconds = int(_LOCK_TIMEOUT.total_seconds() * 1000)
        async with self._engine.begin() as connection:
            await connection.execute(sa.text(f"SET LOCAL lock_timeout = {milliseconds}"))
            locked = (await connection.execute(query)).all()
            ids = [row.id for row in locked if row.version == batch[row.text]]
            for statement in _build_deletions(ids):
                await connection.execute(statement)
        return len(ids)


_ACQUIRE_LOCK = sa.select(sa.func.pg_try_advisory_xact_lock(sa.func.hashtext("fuze_order.archive")))

_VERSION = sa.literal_column("orders.xmin::text", sa.Text).label("version")
"""Of an order's row: its last event is not enough, because an erasure adds none."""

_HAS_ENDED = (
    sa.text(TERMINAL_PREDICATE),
    sa.text(f"({OPEN_AFTER_SHIPMENT_PREDICATE}) IS NOT TRUE"),
    orders.c.payment_status != PaymentStatus.REFUNDING,
    ~sa.exists().where(returns.c.order_id == orders.c.id, returns.c.status.in_(_OPEN_RETURNS)),
    ~sa.exists().where(
        discrepancies.c.order_id == orders.c.id, discrepancies.c.resolved_at.is_(None)
    ),
)


_DOCUMENT = """
    jsonb_build_object(
        'order', to_jsonb(orders),
        'lines', (SELECT coalesce(jsonb_agg(to_jsonb(o) ORDER BY position), '[]')
                  FROM orders.order_lines AS o WHERE o.order_id = orders.id),
        'adjustments', (SELECT coalesce(jsonb_agg(to_jsonb(o) ORDER BY position), '[]')
                        FROM orders.order_adjustments AS o WHERE o.order_id = orders.id),
        'events', (SELECT jsonb_agg(to_jsonb(o) ORDER BY seq)
                   FROM orders.events AS o WHERE o.order_id = orders.id),
        'returns', (SELECT coalesce(jsonb_agg(to_jsonb(o) ORDER BY created_at), '[]')
                    FROM orders.returns AS o WHERE o.order_id = orders.id),
        'return_lines', (SELECT coalesce(jsonb_agg(to_jsonb(o) ORDER BY return_id, position), '[]')
                         FROM orders.return_lines AS o
                         JOIN orders.returns ON returns.id = o.return_id
                         WHERE returns.order_id = orders.id),
        'discrepancies', (SELECT coalesce(jsonb_agg(to_jsonb(o)), '[]')
                          FROM orders.discrepancies AS o WHERE o.order_id = orders.id)
    )
"""


def _build_deletions(ids: Sequence[UUID]) -> Iterator[sa.Delete]:
    of_orders = sa.select(returns.c.id).where(returns.c.order_id.in_(ids))
    yield sa.delete(return_lines).where(return_lines.c.return_id.in_(of_orders))
    for table in (returns, discrepancies, events, order_adjustments, order_lines):
        yield sa.delete(table).where(table.c.order_id.in_(ids))
    yield sa.delete(orders).where(orders.c.id.in_(ids))


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_file(path: Path) -> Iterator[_Document]:
    if path.exists():
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from (json.loads(line) for line in file)


def _next_month(month: datetime) -> datetime:
    return (month + timedelta(days=31)).replace(day=1)
