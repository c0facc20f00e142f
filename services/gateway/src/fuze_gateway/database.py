"""PostgreSQL through asyncpg: one statement per call, mostly without a transaction.

SQLAlchemy builds the statements once and asyncpg executes them: SQLAlchemy's engine costs more
than the gateway's queries do (ADR 11).
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, Self

import asyncpg
from sqlalchemy import TableClause, column, table
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import TypeEngine

from fuze_contracts.base import Message
from fuze_gateway.upstreams import CONNECTION_ERRORS, database_timeout
from fuze_runtime import tracing
from fuze_runtime.database import build_connect
from fuze_runtime.settings import DatabaseSettings

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call] # SQLAlchemy's own

_GRACE_SECONDS = 0.25
_RANDOM_PAGE_COST = "1.1"

Row = dict[str, Any]


def published_view(name: str, row: type[Message], **types: TypeEngine[Any]) -> TableClause:
    """Return a published view as a SQLAlchemy table; its columns are the fields of `row`."""
    schema, _, relation = name.partition(".")
    columns = [column(field, types.get(field)) for field in row.model_fields]
    return table(relation, *columns, schema=schema)


@dataclass(frozen=True, slots=True)
class Statement:
    """A compiled statement, and the names of its parameters in positional order."""

    text: str
    names: tuple[str, ...]
    defaults: dict[str, Any]

    @classmethod
    def compile(cls, element: ClauseElement) -> Self:
        """Compile a SQLAlchemy statement; parameters that have a value keep it as default."""
        compiled = element.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        names = tuple(compiled.positiontup or ())  # type: ignore[attr-defined] # a SQL compiler's
        defaults = {name: value for name, value in compiled.params.items() if value is not None}
        return cls(compiled.string, names, defaults)

    def arguments(self, values: Row) -> list[Any]:
        """Return the parameters in positional order."""
        defaults = self.defaults
        return [values[name] if name in values else defaults.get(name) for name in self.names]


class Database:
    """A pool that connects on first use, so that a process starts without PostgreSQL.

    It is a semaphore and a list, because asyncpg's own pool doubles the cost of a query (ADR 11).
    Every method raises `UpstreamUnavailableError` when PostgreSQL fails or exceeds the timeout.
    """

    def __init__(
        self, settings: DatabaseSettings, application_name: str, timeout: timedelta
    ) -> None:
        self._timeout = timeout
        # The server cancels a statement just before our own timeout, which keeps the connection
        # usable. Ours applies when the server does not respond at all.
        seconds = timeout.total_seconds()
        connect_timeout = settings.database_timeout.total_seconds()
        statement_seconds = max(seconds - _GRACE_SECONDS, seconds / 2)
        self._connect = build_connect(
            settings,
            settings.database_url,
            application_name,
            connect_timeout=connect_timeout,
            session={
                "statement_timeout": str(int(statement_seconds * 1000)),
                "idle_in_transaction_session_timeout": str(int(connect_timeout * 2000)),
                # The data is on SSDs and mostly in memory. With the default the planner reads row
                # by row what a filter on many rows matches.
                "random_page_cost": _RANDOM_PAGE_COST,
            },
        )
        self.size = settings.database_pool_size
        self._slots = _Slots(self.size)
        self._idle: list[asyncpg.Connection] = []

    async def fetch(self, statement: Statement, **values: object) -> list[Row]:
        """Execute a statement and return its rows."""
        async with self._connection() as connection:
            rows = await connection.fetch(statement.text, *statement.arguments(values))
        return [dict(row) for row in rows]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """Commit all statements of the block, or none."""
        async with self._connection() as connection, connection.transaction():
            yield Transaction(connection)

    @asynccontextmanager
    async def open_connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Open a connection outside of the pool, and close it; errors are asyncpg's own."""
        connection = await self._connect()
        try:
            yield connection
        finally:
            connection.terminate()

    @property
    def in_use(self) -> int:
        """How many connections are in use."""
        return self._slots.in_use

    @property
    def waiting(self) -> int:
        """How many callers wait for a connection."""
        return self._slots.waiting

    async def aclose(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        async with database_timeout(self._timeout), self._slots:
            connection = await self._take_or_connect()
            try:
                yield connection
            except (asyncio.CancelledError, *CONNECTION_ERRORS):
                connection.terminate()  # a statement may still be running on it
                raise
            finally:
                if not connection.is_closed():
                    self._idle.append(connection)

    async def _take_or_connect(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        connection = await self._connect()
        if tracing.is_enabled():
            connection.add_query_logger(tracing.record_query)
        try:
            await connection.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
            )
        except BaseException:
            connection.terminate()
            raise
        return connection


class _Slots(asyncio.Semaphore):
    """A semaphore that counts."""

    in_use = 0
    waiting = 0

    async def acquire(self) -> Literal[True]:
        """Wait for a slot."""
        self.waiting += 1
        try:
            await super().acquire()
        finally:
            self.waiting -= 1
        self.in_use += 1
        return True

    def release(self) -> None:
        """Release a slot."""
        self.in_use -= 1
        super().release()


class Transaction:
    """A connection inside a transaction."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, **values: object) -> list[Row]:
        """Execute a statement and return its rows."""
        rows = await self._connection.fetch(statement.text, *statement.arguments(values))
        return [dict(row) for row in rows]
