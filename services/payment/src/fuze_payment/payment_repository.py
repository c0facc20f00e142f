"""All SQL about payments. Each method is one transaction."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fuze_contracts.money import Money
from fuze_contracts.payment import ChargePayment, VoidPayment
from fuze_payment import ledger
from fuze_payment.domain import Payment, PaymentState, payment_id
from fuze_payment.operation_repository import OperationRepository, lease_columns
from fuze_payment.tables import payments
from fuze_psp.provider import Rejected, Succeeded, UnderReview

_SUBMITTED: dict[str, Any] = {
    "first_submitted_at": sa.func.coalesce(payments.c.first_submitted_at, sa.func.clock_timestamp())
}
"""What the provider has a result for was submitted, even where this row does not say so."""


def select_payments() -> sa.Select[Any]:
    """Return the query of `Payment` rows."""
    return sa.select(payments, *lease_columns(payments))


def _insert_claimed(**values: Any) -> sa.sql.dml.ReturningInsert[Any]:  # noqa: ANN401 - SQL expressions
    """Return the statement that inserts a row, unless there is one, or another live charge."""
    # No conflict target: with one, the second unique index raised errors and deadlocks.
    statement = insert(payments).values(fencing_token=1, **values).on_conflict_do_nothing()
    return statement.returning(payments, *lease_columns(payments))


_INSERT_FREE = _insert_claimed(lease_expires_at=sa.func.statement_timestamp())
_INSERT_SUBMITTED = _insert_claimed(
    lease_expires_at=sa.func.statement_timestamp()
    + sa.bindparam("lease_duration", type_=sa.Interval),
    first_submitted_at=sa.func.clock_timestamp(),
    last_submitted_at=sa.func.clock_timestamp(),
)


class ClaimedPayment(NamedTuple):
    """A token's row, and whether this claim has inserted it."""

    payment: Payment
    is_new: bool


class PaymentRepository(OperationRepository[Payment]):
    """Payments in PostgreSQL."""

    table = payments
    settled = [state.value for state in PaymentState if state.is_settled]  # noqa: RUF012 - a ClassVar

    async def claim(self, command: ChargePayment) -> ClaimedPayment | None:
        """Return the token's row, inserting it if it does not exist.

        A row that is inserted here is `submitted`, and its lease is held: its request is to be sent
        next. A free payment is inserted as `charged`. None means that the order has another live
        charge, under another token.
        """
        is_free = command.amount.amount_minor == 0
        state = PaymentState.CHARGED if is_free else PaymentState.SUBMITTED
        async with self._autocommit.connect() as connection:
            inserted = await connection.execute(
                _INSERT_FREE if is_free else _INSERT_SUBMITTED,
                {**_columns(command, state), "lease_duration": self._lease_duration},
            )
            if row := inserted.mappings().one_or_none():
                # No request was sent before the one that follows.
                unsent = {"key_age": None, "since_last_submitted": None}
                return ClaimedPayment(self._parse(row).model_copy(update=unsent), is_new=True)
            payment = await self._find(connection, payments.c.id == _id(command))
        return ClaimedPayment(payment, is_new=False) if payment else None

    async def find(self, order_id: UUID, payment_token: str) -> Payment | None:
        """Return the row of the order's token."""
        return await self.get(payment_id(order_id, payment_token))

    async def list_kept(self, order_ids: Sequence[UUID]) -> list[ChargePayment]:
        """Return the orders' charges of which money is kept; open refunds count as refunded."""
        query = sa.select(payments).where(
            payments.c.order_id.in_(order_ids),
            payments.c.state == PaymentState.CHARGED,
            payments.c.refunded_minor < payments.c.amount_minor,
        )
        async with self._engine.connect() as connection:
            return [
                ChargePayment(
                    order_id=row.order_id,
                    payment_token=row.payment_token,
                    amount=Money(amount_minor=row.amount_minor, currency=row.currency),
                    payment_method=row.payment_method,
                )
                for row in await connection.execute(query)
            ]

    async def mark_under_review(self, operation: Payment, result: UnderReview) -> None:
        """Record that the provider decides later, and end the lease."""
        async with self._engine.begin() as connection:
            await self._update_open(
                connection,
                operation,
                state=PaymentState.UNDER_REVIEW,
                provider_reference=result.reference,
            )

    async def settle(self, operation: Payment, result: Succeeded | Rejected) -> Payment:
        """Record a definite result once, and a capture in the ledger.

        It is accepted from any holder, with a lease or without. Returns the row as it is then: a
        payment that was voided meanwhile and charged all the same is `charged` with
        `void_requested`, and the caller has to refund it.
        """
        async with self._engine.begin() as connection:
            if isinstance(result, Rejected):
                await self._update_open(
                    connection,
                    operation,
                    state=PaymentState.DECLINED,
                    provider_reference=result.reference,
                    decline_code=result.code,
                    **_SUBMITTED,
                )
            elif await self._update_open(
                connection,
                operation,
                # Not `voided`: the request may have taken effect after the void.
                final=[PaymentState.CHARGED, PaymentState.DECLINED],
                state=PaymentState.CHARGED,
                provider_reference=result.reference,
                **_SUBMITTED,
            ):
                await ledger.post_capture(connection, operation.id, operation.amount)
            return await self._read(connection, operation.id)

    async def request_void(self, command: VoidPayment) -> Payment:
        """Record that the charge is to be voided; it is voided at once where no request was sent.

        A token that was never claimed gets its row here, so that it cannot be claimed later. A row
        that was claimed for something else is not changed.
        """
        charge = command.charge
        async with self._engine.begin() as connection:
            await self._insert(connection, charge, PaymentState.VOIDED, void_requested=True)
            await connection.execute(
                sa.update(payments)
                .where(
                    payments.c.id == _id(charge),
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
            return await self._read(connection, _id(charge))

    async def void(self, payment: Payment) -> Payment:
        """Record that nothing was charged, and that a late capture is to be refunded."""
        async with self._engine.begin() as connection:
            await self._update_open(
                connection,
                payment,
                state=PaymentState.VOIDED,
                void_requested=True,
                provider_reference=None,
            )
            return await self._read(connection, payment.id)

    @staticmethod
    async def _insert(
        connection: AsyncConnection,
        command: ChargePayment,
        state: PaymentState,
        **values: object,
    ) -> bool:
        """Insert the command's row; False where there is one, or another live charge."""
        inserted = await connection.execute(
            insert(payments).values(**_columns(command, state), **values).on_conflict_do_nothing()
        )
        return inserted.rowcount == 1

    def _select(self) -> sa.Select[Any]:
        return select_payments()

    def _parse(self, row: sa.RowMapping) -> Payment:
        return Payment.model_validate(dict(row))


def _columns(command: ChargePayment, state: PaymentState) -> dict[str, Any]:
    return {
        "id": _id(command),
        "payment_token": command.payment_token,
        "order_id": command.order_id,
        "amount_minor": command.amount.amount_minor,
        "currency": command.amount.currency,
        "payment_method": command.payment_method,
        "state": state,
    }


def _id(command: ChargePayment) -> UUID:
    return payment_id(command.order_id, command.payment_token)
