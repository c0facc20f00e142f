"""All SQL about reconciliation. Each method is one transaction."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_payment import lease
from fuze_payment.comparing import Finding, OurBooks
from fuze_payment.rules import Payment, Refund
from fuze_payment.tables import discrepancies, payments, refunds


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
        now = sa.func.clock_timestamp()
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(discrepancies)
                .where(
                    discrepancies.c.resolved_at.is_(None),
                    discrepancies.c.made_at >= since,
                    sa.tuple_(discrepancies.c.kind, discrepancies.c.reference).not_in(
                        [(finding.kind, finding.reference) for finding in findings]
                    ),
                )
                .values(resolved_at=now)
            )
            for finding in findings:
                await connection.execute(
                    insert(discrepancies)
                    .values(**finding.model_dump())
                    .on_conflict_do_update(
                        index_elements=[discrepancies.c.kind, discrepancies.c.reference],
                        set_={"details": finding.details, "seen_at": now, "resolved_at": None},
                    )
                )
