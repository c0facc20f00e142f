"""All SQL about payments. Each method is one transaction."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_contracts.payment import ChargePayment, VoidPayment
from fuze_payment import lease, ledger
from fuze_payment.provider import Held, Refused, Taken
from fuze_payment.rules import Payment, PaymentState, payment_id
from fuze_payment.tables import payments

_SETTLED = [state.value for state in PaymentState if state.is_settled]


class PaymentRepository:
    """Payments in PostgreSQL. `lease_for` is longer than any request to the provider."""

    def __init__(self, engine: AsyncEngine, lease_for: timedelta) -> None:
        self._engine = engine
        self._lease_for = lease_for

    async def claim(self, command: ChargePayment) -> Payment | None:
        """Return the token's row, inserting it if nobody has yet.

        None means that the order has another live charge, under another token.
        """
        async with self._engine.begin() as connection:
            await self._insert(connection, command, PaymentState.CREATED)
            return await _read(connection, payments.c.payment_token == command.payment_token)

    async def find(self, payment_token: str) -> Payment | None:
        """Return the token's row."""
        async with self._engine.connect() as connection:
            return await _read(connection, payments.c.payment_token == payment_token)

    async def get(self, identity: UUID) -> Payment | None:
        """Return a payment by its id."""
        async with self._engine.connect() as connection:
            return await _read(connection, payments.c.id == identity)

    async def take(self, payment: Payment) -> Payment | None:
        """Take the lease; None if somebody else has it, or the payment is settled."""
        async with self._engine.begin() as connection:
            if not await lease.take(connection, payments, payment.id, _SETTLED, self._lease_for):
                return None
            return await _get(connection, payments.c.id == payment.id)

    async def mark_submitted(self, payment: Payment) -> bool:
        """Write that the provider is about to be asked; False for one who lost the lease."""
        async with self._engine.begin() as connection:
            return await lease.mark_submitted(
                connection, payments, payment.id, _SETTLED, payment.fencing_token
            )

    async def give_back(self, payment: Payment, state: PaymentState | None = None) -> None:
        """End the lease early, with what is known."""
        known = {} if state is None else {"state": state.value}
        async with self._engine.begin() as connection:
            await lease.give_back(connection, payments, payment.id, payment.fencing_token, **known)

    async def give_back_unsent(self, payment: Payment) -> None:
        """End the lease early: our request did nothing; an earlier one may have."""
        known = lease.NOT_SUBMITTED if payment.key_age is None else {}
        async with self._engine.begin() as connection:
            await lease.give_back(connection, payments, payment.id, payment.fencing_token, **known)

    async def hold(self, payment: Payment, answer: Held) -> None:
        """Write that the provider reviews it, and end the lease."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(payments)
                .where(payments.c.id == payment.id, payments.c.state.not_in(_SETTLED))
                .values(
                    state=PaymentState.UNDER_REVIEW,
                    provider_reference=answer.reference,
                    lease_expires_at=sa.func.clock_timestamp(),
                    updated_at=sa.func.clock_timestamp(),
                )
            )

    async def settle(self, payment: Payment, answer: Taken | Refused | None) -> Payment:
        """Write the provider's definite answer, once, and the capture into the ledger.

        It is accepted from whoever brings it, lease or not, for it is the truth. None is a free
        payment, taken without asking anyone. Returns the row as it is then: a payment that was let
        go of meanwhile and was taken all the same is `charged`, for somebody to give back.
        """
        refused = isinstance(answer, Refused)
        state = PaymentState.DECLINED if refused else PaymentState.CHARGED
        open_to_it = [one for one in _SETTLED if refused or one != PaymentState.VOIDED]
        async with self._engine.begin() as connection:
            settled = await connection.execute(
                sa.update(payments)
                .where(payments.c.id == payment.id, payments.c.state.not_in(open_to_it))
                .values(
                    state=state,
                    provider_reference=answer.reference if answer else None,
                    decline_code=answer.code if isinstance(answer, Refused) else None,
                    lease_expires_at=sa.func.clock_timestamp(),
                    first_submitted_at=sa.func.coalesce(
                        payments.c.first_submitted_at, sa.func.clock_timestamp()
                    ),
                    updated_at=sa.func.clock_timestamp(),
                )
            )
            if settled.rowcount == 1 and state is PaymentState.CHARGED:
                await ledger.post_capture(connection, payment.id, payment.amount)
            return await _get(connection, payments.c.id == payment.id)

    async def request_void(self, command: VoidPayment) -> Payment:
        """Write that nothing of this charge is to be kept; voided at once where nothing was sent.

        A charge that nobody has claimed gets its row here, so that nobody will. A row that was
        claimed for something else stays as it is.
        """
        charge = command.charge
        async with self._engine.begin() as connection:
            await self._insert(connection, charge, PaymentState.VOIDED, void_requested=True)
            await connection.execute(
                sa.update(payments)
                .where(
                    payments.c.payment_token == charge.payment_token,
                    payments.c.order_id == charge.order_id,
                    payments.c.amount_minor == charge.amount.amount_minor,
                    payments.c.currency == charge.amount.currency,
                )
                .values(
                    void_requested=True,
                    state=sa.case(
                        (payments.c.state == PaymentState.CREATED, PaymentState.VOIDED.value),
                        else_=payments.c.state,
                    ),
                    updated_at=sa.func.clock_timestamp(),
                )
            )
            return await _get(connection, payments.c.payment_token == charge.payment_token)

    async def void(self, payment: Payment) -> Payment:
        """Write that nothing was taken and nothing will be kept."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(payments)
                .where(payments.c.id == payment.id, payments.c.state.not_in(_SETTLED))
                .values(
                    state=PaymentState.VOIDED,
                    void_requested=True,
                    provider_reference=None,
                    lease_expires_at=sa.func.clock_timestamp(),
                    updated_at=sa.func.clock_timestamp(),
                )
            )
            return await _get(connection, payments.c.id == payment.id)

    @staticmethod
    async def _insert(
        connection: AsyncConnection,
        command: ChargePayment,
        state: PaymentState,
        *,
        void_requested: bool = False,
    ) -> None:
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
                state=state,
                void_requested=void_requested,
            )
            .on_conflict_do_nothing()
        )


async def _read(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> Payment | None:
    row = (await connection.execute(_query(which))).mappings().one_or_none()
    return Payment.model_validate(dict(row)) if row else None


async def _get(connection: AsyncConnection, which: sa.ColumnElement[bool]) -> Payment:
    row = (await connection.execute(_query(which))).mappings().one()
    return Payment.model_validate(dict(row))


def _query(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(payments, *lease.errand_columns(payments)).where(which)
