"""Attempts in PostgreSQL: claim a message, make the attempt, record what became of it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_contracts.webhooks import WebhookDeliveryState, WebhookDisabledReason
from fuze_webhooks.messages import Attempt, Delivery
from fuze_webhooks.tables import IS_PENDING, deliveries, endpoints, event_feed

_EVENT = [column for column in event_feed.c if column.name not in {"transaction_id", "position"}]
_earlier = deliveries.alias("earlier")
_is_blocked = sa.exists().where(
    _earlier.c.endpoint_id == deliveries.c.endpoint_id,
    _earlier.c.order_id == deliveries.c.order_id,
    _earlier.c.seq < deliveries.c.seq,
    _earlier.c.state != WebhookDeliveryState.DELIVERED,
)


@dataclass(frozen=True, kw_only=True)
class DeliveryPolicy:
    """How long an attempt has its message to itself, when to retry, and when to disable."""

    lease: timedelta
    retry_delays: Sequence[timedelta]
    disable_after: timedelta


class DeliveryRepository:
    """Deliveries in PostgreSQL. Each method is one transaction."""

    def __init__(self, engine: AsyncEngine, policy: DeliveryPolicy) -> None:
        self._engine = engine
        self._policy = policy

    async def claim(self, endpoint_id: UUID, limit: int) -> list[Delivery]:
        """Claim the messages whose attempt is due, at most one of each order, for one lease.

        A message waits for all earlier ones of its order. The attempt is counted before it is
        made: one that dies with its process is one, too.
        """
        due = (
            sa.select(deliveries.c.id)
            .where(
                deliveries.c.endpoint_id == endpoint_id,
                IS_PENDING,
                deliveries.c.next_attempt_at <= sa.func.now(),
                deliveries.c.lease_expires_at <= sa.func.now(),
                ~_is_blocked,
            )
            .order_by(deliveries.c.next_attempt_at, deliveries.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=deliveries)
            .cte("due")
        )
        claim = (
            sa.update(deliveries)
            .where(deliveries.c.id == due.c.id)
            .values(
                attempts=deliveries.c.attempts + 1,
                fencing_token=deliveries.c.fencing_token + 1,
                lease_expires_at=sa.func.now() + self._policy.lease,
                last_attempted_at=sa.func.now(),
            )
            .returning(deliveries)
        )
        async with self._engine.begin() as connection:
            claimed = (await connection.execute(claim)).mappings().all()
            events = await self._read_events(connection, claimed)
        return [
            Delivery(
                id=row["id"],
                endpoint_id=endpoint_id,
                message_id=row["message_id"],
                created_at=row["created_at"],
                attempt=row["attempts"],
                attempted_at=row["last_attempted_at"],
                fencing_token=row["fencing_token"],
                is_test=row["order_id"] is None,
                event=events.get((row["order_id"], row["seq"])),
            )
            for row in claimed
        ]

    async def _read_events(
        self, connection: AsyncConnection, claimed: Sequence[sa.RowMapping]
    ) -> dict[tuple[UUID, int], dict[str, Any]]:
        keys = [(row["order_id"], row["seq"]) for row in claimed if row["order_id"] is not None]
        if not keys:
            return {}
        query = sa.select(*_EVENT).where(
            sa.tuple_(event_feed.c.order_id, event_feed.c.seq).in_(keys)
        )
        rows = (await connection.execute(query)).mappings()
        return {(row["order_id"], row["seq"]): dict(row) for row in rows}

    async def record(self, delivery: Delivery, attempt: Attempt) -> bool:
        """Record what became of an attempt; return False if a later attempt has its message.

        If it fails, a message that was redelivered meanwhile stays due: its attempts begin anew.
        """
        values: dict[str, Any] = {
            "response_status": attempt.response_status,
            "response_body": attempt.response_body,
            "error": attempt.error,
            "lease_expires_at": sa.func.now(),
        }
        delays = self._policy.retry_delays
        is_redelivered = deliveries.c.attempts != delivery.attempt
        if attempt.error is None:
            values |= {"state": WebhookDeliveryState.DELIVERED, "delivered_at": sa.func.now()}
        elif attempt.is_final or delivery.attempt > len(delays):
            values["state"] = sa.case(
                (is_redelivered, deliveries.c.state), else_=WebhookDeliveryState.FAILED
            )
        else:
            delay = max(delays[delivery.attempt - 1], attempt.retry_after)
            values["next_attempt_at"] = sa.case(
                (is_redelivered, deliveries.c.next_attempt_at),
                else_=sa.func.now() + _add_jitter(delay),
            )
        async with self._engine.begin() as connection:
            recorded = await connection.execute(
                sa.update(deliveries)
                .where(
                    deliveries.c.id == delivery.id,
                    deliveries.c.fencing_token == delivery.fencing_token,
                )
                .values(values)
            )
        return bool(recorded.rowcount)

    async def record_health(self, delivery: Delivery, attempt: Attempt) -> None:
        """Record that an endpoint accepts or fails, and disable it if it is gone or fails for long.

        It is no part of the transaction before: one that changes the endpoint and its deliveries
        begins with the endpoint. Where a process dies in between, the next attempt records it. A
        response to an attempt from before the endpoint was changed does not disable it.
        """
        this = sa.update(endpoints).where(endpoints.c.id == delivery.endpoint_id)
        since = endpoints.c.failing_since
        if attempt.error is None:
            updates = [this.where(since.is_not(None)).values(failing_since=None)]
        else:
            reason = (
                WebhookDisabledReason.GONE if attempt.is_gone else WebhookDisabledReason.FAILING
            )
            disable = this.where(
                endpoints.c.is_enabled, endpoints.c.updated_at <= delivery.attempted_at
            ).values(is_enabled=False, disabled_reason=reason, updated_at=sa.func.now())
            if not attempt.is_gone:
                disable = disable.where(since < sa.func.now() - self._policy.disable_after)
            updates = [this.where(since.is_(None)).values(failing_since=sa.func.now()), disable]
        async with self._engine.begin() as connection:
            for update in updates:
                await connection.execute(update)


def _add_jitter(delay: timedelta) -> timedelta:
    """Return up to a tenth more, so that messages that failed together do not return together."""
    return delay * random.uniform(1, 1.1)  # noqa: S311 - no secret
