"""All SQL about refunds. Each method is one transaction."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fuze_contracts.payment import RefundPayment
from fuze_contracts.refund_allocation import RefundedLine
from fuze_payment import ledger
from fuze_payment.domain import (
    Payment,
    PaymentState,
    Refund,
    RefundDecision,
    RefundState,
    decide_refund,
)
from fuze_payment.operation_repository import OperationRepository, lease_columns
from fuze_payment.tables import payments, refunds
from fuze_psp.provider import Rejected, Succeeded, UnderReview

_MAX_UNREPORTED = 100


def select_refunds() -> sa.Select[Any]:
    """Return the query of `Refund` rows."""
    return sa.select(
        refunds,
        *lease_columns(refunds),
        payments.c.order_id,
        payments.c.payment_token,
        payments.c.currency,
        payments.c.provider_reference.label("charge_reference"),
    ).join(payments, payments.c.id == refunds.c.payment_id)


class RefundRepository(OperationRepository[Refund]):
    """Refunds in PostgreSQL."""

    table = refunds
    settled = [state.value for state in RefundState if state.is_settled]  # noqa: RUF012 - a ClassVar

    async def claim(self, payment: Payment, command: RefundPayment) -> Refund | None:
        """Return the row of a refund that no caller requested, inserting it if it does not exist.

        None where less than the amount is left to refund.
        """
        async with self._engine.begin() as connection:
            if existing := await self._lock_and_find(connection, payment, command):
                return existing
            decision = await self._decide(connection, payment, command)
            if decision.rejection:
                return None
            return await self._insert(connection, payment, command, decision, is_reported=True)

    async def reserve(self, payment: Payment, command: RefundPayment) -> tuple[Refund, str | None]:
        """Return the row of a requested refund, inserting it if it does not exist.

        Where less is left, that is a rejected row: the refusal is final, whatever becomes of other
        refunds. The second value says of what too much was requested, where it was decided now.
        """
        async with self._engine.begin() as connection:
            if existing := await self._lock_and_find(connection, payment, command):
                return existing, None
            decision = await self._decide(connection, payment, command)
            is_refused = decision.rejection is not None
            refund = await self._insert(
                connection, payment, command, decision, is_reported=is_refused
            )
            return refund, decision.details

    async def mark_reported(self, refund_id: UUID) -> None:
        """Record that the refund's order has the outcome as an event."""
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(refunds).where(refunds.c.id == refund_id).values(is_reported=True)
            )

    async def list_unreported(self, idle_for: timedelta) -> list[Refund]:
        """Return refunds that their orders do not have as events yet, the oldest first.

        At most a hundred; those that changed within `idle_for` are left out.
        """
        query = (
            self._select()
            .where(
                sa.not_(refunds.c.is_reported),
                refunds.c.updated_at < sa.func.clock_timestamp() - idle_for,
            )
            .order_by(refunds.c.updated_at)
            .limit(_MAX_UNREPORTED)
        )
        async with self._engine.connect() as connection:
            return [self._parse(row) for row in (await connection.execute(query)).mappings()]

    async def list_open(self, payment_id: UUID) -> list[Refund]:
        """Return the payment's refunds whose outcome is not known, the oldest first."""
        return await self._list(payment_id, refunds.c.state.not_in(self.settled))

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

    async def _lock_and_find(
        self, connection: AsyncConnection, payment: Payment, command: RefundPayment
    ) -> Refund | None:
        # Lock the payment's row first: every transaction locks in the same order.
        await connection.execute(
            sa.select(payments.c.id).where(payments.c.id == payment.id).with_for_update()
        )
        return await self._find(connection, refunds.c.id == command.refund_id)

    @staticmethod
    async def _decide(
        connection: AsyncConnection, payment: Payment, command: RefundPayment
    ) -> RefundDecision:
        left = sa.select(payments.c.amount_minor - payments.c.refunded_minor).where(
            payments.c.id == payment.id, payments.c.state == PaymentState.CHARGED
        )
        counted = sa.select(refunds.c.lines).where(
            refunds.c.payment_id == payment.id, refunds.c.state != RefundState.REJECTED
        )
        refundable_minor = (await connection.execute(left)).scalar_one_or_none() or 0
        earlier = [
            RefundedLine.model_validate(line)
            for lines in (await connection.execute(counted)).scalars()
            for line in lines
        ]
        return decide_refund(command, refundable_minor, earlier)

    async def _insert(
        self,
        connection: AsyncConnection,
        payment: Payment,
        command: RefundPayment,
        decision: RefundDecision,
        *,
        is_reported: bool,
    ) -> Refund:
        """Insert the refund, and reserve its amount in the payment's row unless it is rejected."""
        if decision.rejection is None:
            await connection.execute(
                sa.update(payments)
                .where(payments.c.id == payment.id)
                .values(refunded_minor=payments.c.refunded_minor + decision.amount_minor)
            )
        await connection.execute(
            insert(refunds).values(
                id=command.refund_id,
                payment_id=payment.id,
                amount_minor=decision.amount_minor,
                lines=[line.model_dump() for line in decision.lines],
                reason=command.reason,
                actor=command.actor,
                fingerprint=command.fingerprint,
                state=RefundState.REJECTED if decision.rejection else RefundState.CREATED,
                rejection_code=decision.rejection,
                is_reported=is_reported,
            )
        )
        return await self._read(connection, command.refund_id)

    def _select(self) -> sa.Select[Any]:
        return select_refunds()

    def _parse(self, row: sa.RowMapping) -> Refund:
        return Refund.model_validate(dict(row))
