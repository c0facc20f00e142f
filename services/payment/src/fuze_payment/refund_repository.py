"""All SQL about refunds. Each method is one transaction."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from fuze_contracts.payment import RefundPayment
from fuze_payment import ledger
from fuze_payment.domain import Payment, PaymentState, Refund, RefundState
from fuze_payment.operation_repository import OperationRepository, lease_columns
from fuze_payment.tables import payments, refunds
from fuze_psp.provider import Rejected, Succeeded, UnderReview


def select_refunds() -> sa.Select[Any]:
    """Return the query of `Refund` rows."""
    return sa.select(
        refunds,
        *lease_columns(refunds),
        payments.c.currency,
        payments.c.provider_reference.label("charge_reference"),
    ).join(payments, payments.c.id == refunds.c.payment_id)


class RefundRepository(OperationRepository[Refund]):
    """Refunds in PostgreSQL."""

    table = refunds
    settled = [state.value for state in RefundState if state.is_settled]  # noqa: RUF012 - a ClassVar

    async def claim(self, payment: Payment, command: RefundPayment) -> Refund | None:
        """Return the refund's row, inserting it if it does not exist.

        None where less than the amount is left to refund. The amount is reserved in the payment's
        row in the same transaction, so that two refunds never share it.
        """
        amount_minor = command.amount.amount_minor
        async with self._engine.begin() as connection:
            # Lock the payment's row first: every transaction locks in the same order.
            await connection.execute(
                sa.select(payments.c.id).where(payments.c.id == payment.id).with_for_update()
            )
            if existing := await self._find(connection, refunds.c.id == command.refund_id):
                return existing
            reserved = await connection.execute(
                sa.update(payments)
                .where(
                    payments.c.id == payment.id,
                    payments.c.state == PaymentState.CHARGED,
                    payments.c.refunded_minor + amount_minor <= payments.c.amount_minor,
                )
                .values(refunded_minor=payments.c.refunded_minor + amount_minor)
            )
            if reserved.rowcount != 1:
                return None
            await connection.execute(
                insert(refunds).values(**_to_values(payment, command), state=RefundState.CREATED)
            )
            return await self._read(connection, command.refund_id)

    async def reject(self, payment: Payment, command: RefundPayment) -> Refund:
        """Record that less than the amount was left to refund, so that the caller can see it.

        Returns the refund's row; an existing one is not changed.
        """
        async with self._engine.begin() as connection:
            await connection.execute(
                insert(refunds)
                .values(
                    **_to_values(payment, command),
                    state=RefundState.REJECTED,
                    rejection_code="more_than_charged",
                )
                .on_conflict_do_nothing()
            )
            return await self._read(connection, command.refund_id)

    async def list_open(self, payment_id: UUID) -> list[Refund]:
        """Return the payment's refunds whose outcome is not known, the oldest first."""
        return await self._list(payment_id, refunds.c.state.not_in(self.settled))

    async def latest_refund(self, payment_id: UUID) -> Refund | None:
        """Return the payment's latest refund that succeeded."""
        refunded = await self._list(payment_id, refunds.c.state == RefundState.REFUNDED)
        return refunded[-1] if refunded else None

    async def mark_under_review(self, operation: Refund, result: UnderReview) -> None:
        """Record that the outcome is not known yet, and end the lease."""
        del result  # the reference of a refund is recorded when it has succeeded
        await self.release_as_unknown(operation)

    async def settle(self, operation: Refund, result: Succeeded | Rejected) -> Refund:
        """Record a definite result once: the refund in the ledger, or its reservation released.

        It is accepted from any holder, with a lease or without. Returns the row as it is then.
        """
        async with self._engine.begin() as connection:
            if isinstance(result, Succeeded):
                if await self._update_open(
                    connection,
                    operation,
                    state=RefundState.REFUNDED,
                    provider_reference=result.reference,
                ):
                    await ledger.post_refund(
                        connection, operation.payment_id, operation.id, operation.amount
                    )
            elif await self._update_open(
                connection, operation, state=RefundState.REJECTED, rejection_code=result.code
            ):
                await connection.execute(
                    sa.update(payments)
                    .where(payments.c.id == operation.payment_id)
                    .values(refunded_minor=payments.c.refunded_minor - operation.amount_minor)
                )
            return await self._read(connection, operation.id)

    async def _list(self, payment_id: UUID, condition: sa.ColumnElement[bool]) -> list[Refund]:
        query = (
            self._select()
            .where(refunds.c.payment_id == payment_id, condition)
            .order_by(refunds.c.created_at, refunds.c.id)
        )
        async with self._engine.connect() as connection:
            return [self._parse(row) for row in (await connection.execute(query)).mappings()]

    def _select(self) -> sa.Select[Any]:
        return select_refunds()

    def _parse(self, row: sa.RowMapping) -> Refund:
        return Refund.model_validate(dict(row))


def _to_values(payment: Payment, command: RefundPayment) -> dict[str, Any]:
    return {
        "id": command.refund_id,
        "payment_id": payment.id,
        "amount_minor": command.amount.amount_minor,
        "reason": command.reason,
        "actor": command.actor,
    }
