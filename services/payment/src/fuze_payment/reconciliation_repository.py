"""All SQL about reconciliation. Each method is one transaction."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_payment import lease
from fuze_payment.comparing import Finding, OurBooks
from fuze_payment.rules import Payment, Refund
from fuze_payment.tables import discrepancies, payments, refunds

_AT_ONCE = 500
"""Rows a statement; PostgreSQL takes 65,535 parameters."""


class ReconciliationRepository:
    """Our books as a whole, and the list of what they do not agree on with the provider's."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def books_since(self, since: datetime, at_rest_for: timedelta) -> OurBooks:
        """Return what was written since then; `at_rest` names what nobody has touched lately."""
        now = sa.func.clock_timestamp()
        of_payments = sa.select(payments, *lease.errand_columns(payments)).where(
            payments.c.updated_at >= since
        )
        of_refunds = (
            sa.select(
                refunds,
                *lease.errand_columns(refunds),
                payments.c.currency,
                payments.c.provider_reference.label("charge_reference"),
            )
            .join(payments, payments.c.id == refunds.c.payment_id)
            .where(refunds.c.updated_at >= since)
        )
        rest = [
            sa.select(table.c.id).where(table.c.updated_at.between(since, now - at_rest_for))
            for table in (payments, refunds)
        ]
        async with self._engine.connect() as connection:
            return OurBooks(
                payments=tuple(
                    Payment.model_validate(dict(row))
                    for row in (await connection.execute(of_payments)).mappings()
                ),
                refunds=tuple(
                    Refund.model_validate(dict(row))
                    for row in (await connection.execute(of_refunds)).mappings()
                ),
                at_rest=frozenset(
                    [
                        identity
                        for query in rest
                        for identity in (await connection.execute(query)).scalars()
                    ]
                ),
            )

    async def keep(self, findings: list[Finding], since: datetime) -> None:
        """Write what was found; what was compared again and not found any more is resolved."""
        # The last of those with one name: a statement may not touch a row twice.
        named = {(finding.kind, finding.reference): finding for finding in findings}
        async with self._engine.begin() as connection:
            now = (await connection.execute(sa.select(sa.func.clock_timestamp()))).scalar_one()
            for some in _batches(list(named.values())):
                new = insert(discrepancies).values(
                    [finding.model_dump() | {"last_seen_at": now} for finding in some]
                )
                await connection.execute(
                    new.on_conflict_do_update(
                        index_elements=[discrepancies.c.kind, discrepancies.c.reference],
                        set_={
                            "details": new.excluded.details,
                            "last_seen_at": new.excluded.last_seen_at,
                            "resolved_at": None,
                        },
                    )
                )
            await connection.execute(
                sa.update(discrepancies)
                .where(
                    discrepancies.c.resolved_at.is_(None),
                    discrepancies.c.occurred_at >= since,
                    discrepancies.c.last_seen_at < now,
                )
                .values(resolved_at=now)
            )


def _batches(findings: list[Finding]) -> Iterator[list[Finding]]:
    for first in range(0, len(findings), _AT_ONCE):
        yield findings[first : first + _AT_ONCE]
