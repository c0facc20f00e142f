"""All SQL about reconciliation. Each method is one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_payment.domain import Payment, Refund
from fuze_payment.payment_repository import select_payments
from fuze_payment.reconciliation_rules import Discrepancy, PaymentRecords
from fuze_payment.refund_repository import select_refunds
from fuze_payment.tables import discrepancies, payments, refunds
from fuze_runtime.metrics import Reading


class ReconciliationRepository:
    """Our records as a whole, and the discrepancies to the provider's."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def list_since(self, since: datetime, idle_for: timedelta) -> PaymentRecords:
        """Return what changed since then; `idle` has what did not change in the last `idle_for`."""
        now = sa.func.clock_timestamp()
        payment_query = select_payments().where(payments.c.updated_at >= since)
        refund_query = select_refunds().where(refunds.c.updated_at >= since)
        idle = [
            sa.select(table.c.id).where(table.c.updated_at.between(since, now - idle_for))
            for table in (payments, refunds)
        ]
        async with self._engine.connect() as connection:
            return PaymentRecords(
                payments=tuple(
                    Payment.model_validate(dict(row))
                    for row in (await connection.execute(payment_query)).mappings()
                ),
                refunds=tuple(
                    Refund.model_validate(dict(row))
                    for row in (await connection.execute(refund_query)).mappings()
                ),
                idle=frozenset(
                    [
                        row_id
                        for query in idle
                        for row_id in (await connection.execute(query)).scalars()
                    ]
                ),
            )

    async def read_gauges(self) -> Sequence[Reading]:
        """Return the number of open discrepancies as a metric."""
        query = sa.select(sa.func.count()).where(discrepancies.c.resolved_at.is_(None))
        async with self._engine.connect() as connection:
            count = (await connection.execute(query)).scalar_one()
        return [
            Reading(
                "fuze_payment_discrepancies",
                "Differences between the provider's records and ours",
                count,
            )
        ]

    async def save(self, found: list[Discrepancy], since: datetime) -> None:
        """Record what was found; resolve what was compared again and not found any more."""
        async with self._engine.begin() as connection:
            now = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
            new = insert(discrepancies)
            upsert = new.on_conflict_do_update(
                index_elements=[discrepancies.c.kind, discrepancies.c.reference],
                set_={
                    "details": new.excluded.details,
                    "last_seen_at": new.excluded.last_seen_at,
                    "resolved_at": None,
                },
            )
            if found:
                rows = [one.model_dump() | {"last_seen_at": now} for one in found]
                await connection.execute(upsert, rows)
            await connection.execute(
                sa.update(discrepancies)
                .where(
                    discrepancies.c.resolved_at.is_(None),
                    discrepancies.c.occurred_at >= since,
                    discrepancies.c.last_seen_at < now,
                )
                .values(resolved_at=now)
            )
