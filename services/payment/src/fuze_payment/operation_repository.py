"""SQL that charges and refunds share: one attempt at a time, by leases and fencing tokens.

A lease that its holder cannot release, because it was killed, expires by the database's clock.
Each new holder has a higher fencing token, and what an earlier one still tries to write is
discarded: except a definite result, which is accepted from anybody.
"""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fuze_payment.domain import PaymentState, ProviderOperation
from fuze_psp.provider import Rejected, Succeeded, UnderReview

Operation = TypeVar("Operation", bound=ProviderOperation)


def lease_columns(table: sa.Table) -> list[sa.ColumnElement[object]]:
    """Return the times of an operation as durations by the database's clock.

    `statement_timestamp()`: unlike `clock_timestamp()` it is the same in every column of a row.
    """
    now = sa.func.statement_timestamp()
    return [
        sa.func.greatest(table.c.lease_expires_at - now, sa.literal(timedelta(0))).label(
            "lease_left"
        ),
        (now - table.c.first_submitted_at).label("key_age"),
        (now - table.c.last_submitted_at).label("since_last_submitted"),
    ]


class OperationRepository(ABC, Generic[Operation]):
    """Rows of one kind of operation. Each method is one transaction.

    `lease_duration` is longer than any request to the provider takes.
    """

    table: ClassVar[sa.Table]
    settled: ClassVar[list[str]]
    """The states whose outcome is known."""

    def __init__(self, engine: AsyncEngine, lease_duration: timedelta) -> None:
        self._engine = engine
        # A single statement needs no BEGIN and COMMIT, which are round trips of their own.
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lease_duration = lease_duration

    async def get(self, operation_id: UUID) -> Operation | None:
        """Return a row by its id."""
        async with self._engine.connect() as connection:
            return await self._find(connection, self.table.c.id == operation_id)

    async def acquire(self, operation: Operation) -> Operation | None:
        """Acquire the lease; None if another attempt holds it, or the operation is settled."""
        now = sa.func.clock_timestamp()
        async with self._engine.begin() as connection:
            acquired = await connection.execute(
                sa.update(self.table)
                .where(
                    self.table.c.id == operation.id,
                    self.table.c.state.not_in(self.settled),
                    self.table.c.lease_expires_at <= now,
                )
                .values(
                    fencing_token=self.table.c.fencing_token + 1,
                    lease_expires_at=now + self._lease_duration,
                    updated_at=now,
                )
            )
            if acquired.rowcount != 1:
                return None
            return await self._read(connection, operation.id)

    async def mark_submitted(self, operation: Operation) -> bool:
        """Record that a request is about to be sent; False for a holder that lost the lease."""
        now = sa.func.clock_timestamp()
        async with self._engine.begin() as connection:
            marked = await connection.execute(
                sa.update(self.table)
                .where(*self._is_holder(operation), self.table.c.state.not_in(self.settled))
                .values(
                    state="submitted",
                    first_submitted_at=sa.func.coalesce(self.table.c.first_submitted_at, now),
                    last_submitted_at=now,
                    updated_at=now,
                )
            )
        return marked.rowcount == 1

    async def release(self, operation: Operation) -> None:
        """End the lease and keep the state. Without effect for a holder that lost it."""
        await self._release(operation)

    async def release_as_unknown(self, operation: Operation) -> None:
        """End the lease of an operation whose outcome is not known.

        A payment under review stays under review: only the lookup failed.
        """
        if operation.state is PaymentState.UNDER_REVIEW:
            await self._release(operation)
        else:
            await self._release(operation, state="unknown")

    async def release_not_attempted(self, operation: Operation) -> None:
        """End the lease after a request that had no effect; an earlier one may have had one."""
        if operation.key_age is not None:
            await self._release(operation)
        else:
            await self._release(
                operation, state="created", first_submitted_at=None, last_submitted_at=None
            )

    @abstractmethod
    async def mark_under_review(self, operation: Operation, result: UnderReview) -> None:
        """Record that the provider decides later, and end the lease."""

    @abstractmethod
    async def settle(self, operation: Operation, result: Succeeded | Rejected) -> Operation:
        """Record a definite result once, and the money that it moved in the ledger.

        It is accepted from any holder, with a lease or without. Returns the row as it is then.
        """

    @abstractmethod
    def _select(self) -> sa.Select[Any]: ...

    @abstractmethod
    def _parse(self, row: sa.RowMapping) -> Operation: ...

    def _is_holder(self, operation: Operation) -> list[sa.ColumnElement[bool]]:
        return [
            self.table.c.id == operation.id,
            self.table.c.fencing_token == operation.fencing_token,
            self.table.c.lease_expires_at > sa.func.clock_timestamp(),
        ]

    async def _release(self, operation: Operation, **values: object) -> None:
        now = sa.func.clock_timestamp()
        async with self._engine.begin() as connection:
            await connection.execute(
                sa.update(self.table)
                .where(*self._is_holder(operation))
                .values(lease_expires_at=now, updated_at=now, **values)
            )

    async def _update_open(
        self,
        connection: AsyncConnection,
        operation: Operation,
        *,
        final: list[PaymentState] | None = None,
        **values: object,
    ) -> bool:
        """Change a row that is in no final state (by default: not settled), and end its lease."""
        now = sa.func.clock_timestamp()
        updated = await connection.execute(
            sa.update(self.table)
            .where(
                self.table.c.id == operation.id, self.table.c.state.not_in(final or self.settled)
            )
            .values(lease_expires_at=now, updated_at=now, **values)
        )
        return updated.rowcount == 1

    async def _find(
        self, connection: AsyncConnection, condition: sa.ColumnElement[bool]
    ) -> Operation | None:
        row = (await connection.execute(self._select().where(condition))).mappings().one_or_none()
        return self._parse(row) if row else None

    async def _read(self, connection: AsyncConnection, operation_id: UUID) -> Operation:
        query = self._select().where(self.table.c.id == operation_id)
        return self._parse((await connection.execute(query)).mappings().one())
