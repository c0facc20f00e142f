"""All SQL about refunds. Each method is one transaction."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_payment import lease, ledger
from fuze_payment.provider import Refused, Taken
from fuze_payment.rules import Payment, PaymentState, Refund, RefundState
from fuze_payment.tables import payments, refunds

_SETTLED = [state.value for state in RefundState if state.is_settled]


class RefundRepository:
    """Refunds in PostgreSQL. `lease_for` is longer than any request to the provider."""

    def __init__(self, engine: AsyncEngine, lease_for: timedelta) -> None:
        self._engine = engine
        self._lease_for = lease_for

    async def claim(
        self, payment: Payment, refund_id: UUID, amount_minor: int, reason: str
    ) -> Refund | None:
        """Return the refund's row, inserting it if nobody has yet.

        None where the payment has not that much left to give back. The amount is set aside in the
        payment's row together with the insert, so that two refunds can never share it.
        """
        async with self._engine.begin() as connection:
            # The payment's row first: everyone locks in the same order.
            await connection.execute(
                sa.select(payments.c.id).where(payments.c.id == payment.id).with_for_update()
            )
            if known := await _find(connection, refund_id):
                return known
            set_aside = await connection.execute(
                sa.update(payments)
                .where(
                    payments.c.id == payment.id,
                    payments.c.state == PaymentState.CHARGED,
                    payments.c.refunded_minor + amount_minor <= payments.c.amount_minor,
                )
                .values(refunded_minor=payments.c.refunded_minor + amount_minor)
            )
            if set_aside.rowcount != 1:
                return None
            await connection.execute(
                insert(refunds).values(
                    id=refund_id,
                    payment_id=payment.id,
                    amount_minor=amount_minor,
                    reason=reason,
                    state=RefundState.CREATED,
                )
            )
            return await _get(connection, refund_id)

    async def refuse(
        self, payment: Payment, refund_id: UUID, amount_minor: int, reason: str
    ) -> Refund:
        """Write that there was not that much left to give back, so that whoever asked can see it.

        Returns the refund's row; one that is there already stays as it is.
        """
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(refunds)
                .values(
                    id=refund_id,
                    payment_id=payment.id,
                    amount_minor=amount_minor,
                    reason=reason,
                    state=RefundState.REJECTED,
                    rejection_code="more_than_charged",
                )
                .on_conflict_do_nothing()
            )
            return await _get(connection, refund_id)

    async def find(self, refund_id: UUID) -> Refund | None:
        """Return the refund's row."""
        async with self._engine.connect() as connection:
            return await _find(connection, refund_id)

    async def open_of(self, payment_id: UUID) -> list[Refund]:
        """Return the payment's refunds whose outcome is not known, oldest first."""
        return await self._of(payment_id, refunds.c.state.not_in(_SETTLED))

    async def last_made(self, payment_id: UUID) -> Refund | None:
        """Return the payment's latest refund that was made."""
        made = await self._of(payment_id, refunds.c.state == RefundState.REFUNDED)
        return made[-1] if made else None

    async def _of(self, payment_id: UUID, which: sa.ColumnElement[bool]) -> list[Refund]:
        query = (
            _all()
            .where(refunds.c.payment_id == payment_id, which)
            .order_by(refunds.c.created_at, refunds.c.id)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings()
            return [Refund.model_validate(dict(row)) for row in rows]

    async def take(self, refund: Refund) -> Refund | None:
        """Take the lease; None if somebody else has it, or the refund is settled."""
        async with self._engine.begin() as connection:
            if not await lease.take(connection, refunds, refund.id, _SETTLED, self._lease_for):
                return None
            return await _get(connection, refund.id)

    async def mark_submitted(self, refund: Refund) -> bool:
        """Write that the provider is about to be asked; False for one who lost the lease."""
        async with self._engine.begin() as connection:
            return await lease.mark_submitted(
                connection, refunds, refund.id, _SETTLED, refund.fencing_token
            )

    async def give_back(self, refund: Refund, state: RefundState | None = None) -> None:
        """End the lease early, with what is known."""
        known = {} if state is None else {"state": state.value}
        async with self._engine.begin() as connection:
            await lease.give_back(connection, refunds, refund.id, refund.fencing_token, **known)

    async def give_back_unsent(self, refund: Refund) -> None:
        """End the lease early: our request did nothing; an earlier one may have."""
        known = lease.NOT_SUBMITTED if refund.key_age is None else {}
        async with self._engine.begin() as connection:
            await lease.give_back(connection, refunds, refund.id, refund.fencing_token, **known)

    async def settle(self, refund: Refund, answer: Taken | Refused) -> Refund:
        """Write the provider's definite answer, once.

        A refund goes into the ledger; one that is refused gives the amount that was set aside back.
        """
        refused = isinstance(answer, Refused)
        async with self._engine.begin() as connection:
            settled = await connection.execute(
                sa.update(refunds)
                .where(refunds.c.id == refund.id, refunds.c.state.not_in(_SETTLED))
                .values(
                    state=RefundState.REJECTED if refused else RefundState.REFUNDED,
                    provider_reference=None if refused else answer.reference,
                    rejection_code=answer.code if isinstance(answer, Refused) else None,
                    lease_expires_at=sa.func.clock_timestamp(),
                    updated_at=sa.func.clock_timestamp(),
                )
            )
            if settled.rowcount == 1 and refused:
                await connection.execute(
                    sa.update(payments)
                    .where(payments.c.id == refund.payment_id)
                    .values(refunded_minor=payments.c.refunded_minor - refund.amount_minor)
                )
            elif settled.rowcount == 1:
                await ledger.post_refund(connection, refund.payment_id, refund.id, refund.amount)
            return await _get(connection, refund.id)


async def _find(connection: AsyncConnection, refund_id: UUID) -> Refund | None:
    row = (await connection.execute(_one(refund_id))).mappings().one_or_none()
    return Refund.model_validate(dict(row)) if row else None


async def _get(connection: AsyncConnection, refund_id: UUID) -> Refund:
    row = (await connection.execute(_one(refund_id))).mappings().one()
    return Refund.model_validate(dict(row))


def _one(refund_id: UUID) -> sa.Select[Any]:
    return _all().where(refunds.c.id == refund_id)


def _all() -> sa.Select[Any]:
    return sa.select(
        refunds,
        *lease.errand_columns(refunds),
        payments.c.currency,
        payments.c.provider_reference.label("charge_reference"),
    ).join(payments, payments.c.id == refunds.c.payment_id)
