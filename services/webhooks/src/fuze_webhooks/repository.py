"""Endpoints, and the events that are queued for them. All SQL is here and in the file beside it."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_runtime.metrics import Reading
from fuze_webhooks.messages import Endpoint
from fuze_webhooks.tables import (
    IS_DELIVERED,
    IS_FAILED,
    IS_PENDING,
    deliveries,
    endpoints,
    event_feed,
    secrets,
)

MAX_PENDING = 10_000
"""So many messages wait for one endpoint in the table; the others wait in the feed."""

_PAGE = 500
_CLEANED_AT_ONCE = 5_000
_UNATTENDED_AFTER = timedelta(minutes=3)
"""Longer than a batch takes."""

_EVENT_EXISTS = sa.exists(event_feed.c.seq).where(
    event_feed.c.order_id == deliveries.c.order_id, event_feed.c.seq == deliveries.c.seq
)
_FEED_ORDER = (event_feed.c.transaction_id, event_feed.c.position)


class EndpointRepository:
    """Endpoints in PostgreSQL. Each method is one transaction, unless it says otherwise."""

    def __init__(self, engine: AsyncEngine, retention: timedelta) -> None:
        self._engine = engine
        self._retention = retention

    async def list_unattended(self) -> list[UUID]:
        """Return the endpoints that have work and no workflow, or none that makes progress."""
        query = sa.select(endpoints.c.id).where(
            endpoints.c.is_enabled | endpoints.c.deleted_at.is_not(None),
            endpoints.c.checked_at.is_(None)
            | (endpoints.c.checked_at < sa.func.now() - _UNATTENDED_AFTER),
        )
        async with self._engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def begin_batch(self, endpoint_id: UUID) -> None:
        """Record that the endpoint is attended, and delete what is kept no longer."""
        since = sa.func.now() - self._retention
        delivered = sa.and_(IS_DELIVERED, deliveries.c.delivered_at < since)
        # Not before: events that a restored dump has made invisible come back.
        gone = sa.and_(IS_FAILED, deliveries.c.last_attempted_at < since, ~_EVENT_EXISTS)
        old = sa.union_all(
            *(
                sa.select(deliveries.c.id)
                .where(deliveries.c.endpoint_id == endpoint_id, condition)
                .limit(_CLEANED_AT_ONCE)
                for condition in (delivered, gone)
            )
        )
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(endpoints)
                .where(endpoints.c.id == endpoint_id)
                .values(checked_at=sa.func.now())
            )
            await connection.execute(sa.delete(deliveries).where(deliveries.c.id.in_(old)))
            await connection.execute(
                sa.delete(secrets).where(
                    secrets.c.endpoint_id == endpoint_id, secrets.c.expires_at < sa.func.now()
                )
            )

    async def end_last_batch(self, endpoint_id: UUID) -> None:
        """Record that the endpoint is unattended; delete it if an operator has deleted it.

        Its deliveries are deleted in transactions of their own, as they may be many.
        """
        is_deleted = sa.exists().where(
            endpoints.c.id == endpoint_id, endpoints.c.deleted_at.is_not(None)
        )
        some = (
            sa.select(deliveries.c.id)
            .where(deliveries.c.endpoint_id == endpoint_id, is_deleted)
            .limit(_CLEANED_AT_ONCE)
        )
        remaining = True
        while remaining:
            async with self._engine.begin() as connection:
                deleted = await connection.execute(
                    sa.delete(deliveries).where(deliveries.c.id.in_(some))
                )
                remaining = deleted.rowcount == _CLEANED_AT_ONCE
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.delete(endpoints).where(
                    endpoints.c.id == endpoint_id, endpoints.c.deleted_at.is_not(None)
                )
            )
            await connection.execute(
                sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(checked_at=None)
            )

    async def queue_events(self, endpoint_id: UUID) -> Endpoint | None:
        """Queue the next events of the feed, and return the endpoint, or None if it is stopped.

        The cursor and the deliveries of the events behind it are committed together. Of two
        batches that read the same page, one moves the cursor, and the other writes nothing.
        """
        query = sa.select(endpoints).where(
            endpoints.c.id == endpoint_id,
            endpoints.c.is_enabled,
            endpoints.c.deleted_at.is_(None),
        )
        async with self._engine.connect() as connection:
            endpoint = (await connection.execute(query)).mappings().one_or_none()
            if endpoint is None:
                return None
            found = await connection.execute(
                sa.select(secrets.c.secret)
                .where(
                    secrets.c.endpoint_id == endpoint_id,
                    secrets.c.expires_at.is_(None) | (secrets.c.expires_at > sa.func.now()),
                )
                .order_by(secrets.c.id.desc())
            )
            signing = tuple(found.scalars())
            events = await self._read_page(connection, endpoint)
        if events:
            await self._move_cursor(endpoint, events)
        return Endpoint(
            id=endpoint_id,
            url=endpoint["url"],
            secrets=signing,
            has_more=len(events) == _PAGE,
        )

    async def _read_page(
        self, connection: AsyncConnection, endpoint: sa.RowMapping
    ) -> Sequence[sa.RowMapping]:
        cursor = sa.tuple_(
            sa.literal(endpoint["cursor_transaction_id"], sa.BigInteger()),
            sa.literal(endpoint["cursor_position"], sa.BigInteger()),
        )
        query = (
            sa.select(event_feed.c.order_id, event_feed.c.seq, event_feed.c.type, *_FEED_ORDER)
            .where(sa.tuple_(*_FEED_ORDER) > cursor)
            .order_by(*_FEED_ORDER)
            .limit(_PAGE)
        )
        events = (await connection.execute(query)).mappings().all()
        if not events:
            return []
        waiting = (
            sa.select(deliveries.c.id)
            .where(deliveries.c.endpoint_id == endpoint["id"], IS_PENDING)
            .limit(MAX_PENDING)
            .subquery()
        )
        counted = await connection.execute(sa.select(sa.func.count()).select_from(waiting))
        return events if counted.scalar_one() < MAX_PENDING else []

    async def _move_cursor(self, endpoint: sa.RowMapping, events: Sequence[sa.RowMapping]) -> None:
        wanted = set(endpoint["event_types"])
        rows = [
            {
                "endpoint_id": endpoint["id"],
                "message_id": f"evt_{event['order_id'].hex}_{event['seq']}",
                "order_id": event["order_id"],
                "seq": event["seq"],
                "event_type": event["type"],
            }
            for event in events
            if not wanted or event["type"] in wanted
        ]
        async with self._engine.begin() as connection:
            moved = await connection.execute(
                sa.update(endpoints)
                .where(
                    endpoints.c.id == endpoint["id"],
                    endpoints.c.cursor_transaction_id == endpoint["cursor_transaction_id"],
                    endpoints.c.cursor_position == endpoint["cursor_position"],
                )
                .values(
                    cursor_transaction_id=events[-1]["transaction_id"],
                    cursor_position=events[-1]["position"],
                )
            )
            if moved.rowcount and rows:
                await connection.execute(insert(deliveries).on_conflict_do_nothing(), rows)

    async def read_gauges(self) -> Sequence[Reading]:
        """Return how many messages wait, how many have failed, and endpoints that were disabled."""
        has_failed = endpoints.c.disabled_reason.is_not(None) & endpoints.c.deleted_at.is_(None)
        counts = [
            sa.select(sa.func.count()).where(condition).scalar_subquery()
            for condition in (IS_PENDING, IS_FAILED, has_failed)
        ]
        async with self._engine.connect() as connection:
            pending, failed, disabled = (await connection.execute(sa.select(*counts))).one()
        return [
            Reading("fuze_webhook_deliveries_pending", "Webhooks that wait", pending),
            Reading("fuze_webhook_deliveries_failed", "Webhooks that were given up", failed),
            Reading(
                "fuze_webhook_endpoints_disabled",
                "Webhook endpoints that were disabled because they failed",
                disabled,
            ),
        ]
