"""All SQL of the payment service. Each method is one transaction."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.payment import ChargePayment
from fuze_payment.rules import Payment, payment_id
from fuze_payment.tables import payments


class PaymentRepository:
    """Payments in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def claim(self, command: ChargePayment) -> Payment | None:
        """Return the token's row, inserting it if nobody has yet.

        None means that the order has another live charge, under another token.
        """
        async with self._engine.begin() as connection:
            # No conflict target: with one, the second unique index gave errors and deadlocks.
            await connection.execute(
                insert(payments)
                .values(
                    id=payment_id(command.payment_token),
                    payment_token=command.payment_token,
                    order_id=command.order_id,
                    amount_minor=command.amount.amount_minor,
                    currency=command.amount.currency,
                    payment_method=command.payment_method,
                    state="claimed",
                )
                .on_conflict_do_nothing()
            )
            query = sa.select(payments).where(payments.c.payment_token == command.payment_token)
            row = (await connection.execute(query)).mappings().one_or_none()
        return Payment.model_validate(dict(row)) if row else None

    async def settle(
        self, claimed: UUID, *, provider_reference: str | None, decline_code: str | None
    ) -> None:
        """Write the provider's definite answer, once; the provider gives a repeat the same one."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(payments)
                .where(payments.c.id == claimed, payments.c.state == "claimed")
                .values(
                    state="declined" if decline_code else "charged",
                    provider_reference=provider_reference,
                    decline_code=decline_code,
                    updated_at=sa.func.now(),
                )
            )
