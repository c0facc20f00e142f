"""PostgreSQL for a process that mostly reads: one statement a call, and no transaction around it.

SQLAlchemy writes the statements, asyncpg carries them out: what lies between the two costs more
than the queries of the gateway do.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

import asyncpg
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.sql import ClauseElement

from fuze_gateway.availability import LOST, SourceUnavailableError, database_within, unavailable
from fuze_runtime.settings import DatabaseSettings

_DIALECT = PGDialect_asyncpg()  # type: ignore[no-untyped-call] # SQLAlchemy's own

_GRACE_SECONDS = 0.25
_RANDOM_PAGE_COST = "1.1"

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as PostgreSQL takes it, and the names of its parameters in their order."""

    text: str
    names: tuple[str, ...]
    given: dict[str, Any]

    @classmethod
    def of(cls, written: ClauseElement) -> Self:
        """Compile what SQLAlchemy wrote; parameters with a value keep it."""
        compiled = written.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
        names = tuple(compiled.positiontup or ())  # type: ignore[attr-defined] # a SQL compiler's
        given = {name: value for name, value in compiled.params.items() if value is not None}
        return cls(compiled.string, names, given)

    def arguments(self, values: Row) -> list[Any]:
        """Return the parameters in their order."""
        given = self.given
        return [values[name] if name in values else given.get(name) for name in self.names]


class Database:
    """Connections that are made when first needed, so that a process starts without PostgreSQL.

    A pool of our own, because asyncpg's starts a task and resets the connection for each query
    that it carried out, which costs more than a query by key; ours never change a connection.

    Every method raises `SourceUnavailableError` when PostgreSQL does not answer within the limit.
    """

    def __init__(self, settings: DatabaseSettings, application_name: str, limit: timedelta) -> None:
        timeout = settings.database_timeout.total_seconds()
        self._limit = limit
        # The server ends a statement just before the limit, which keeps the connection; we do at
        # the limit where the server does not answer at all.
        self._seconds = limit.total_seconds()
        statement_seconds = max(self._seconds - _GRACE_SECONDS, self._seconds / 2)
        self._options = {
            "dsn": str(settings.database_url).replace("+asyncpg", "", 1),
            "timeout": timeout,
            "server_settings": {
                "application_name": application_name,
                "statement_timeout": str(int(statement_seconds * 1000)),
                "idle_in_transaction_session_timeout": str(int(timeout * 2000)),
                "timezone": "UTC",
                # On disks without a head, which every database has by now, and mostly in memory:
                # with the default a list of what many rows match is read row by row.
                "random_page_cost": _RANDOM_PAGE_COST,
            },
        }
        self._idle: list[asyncpg.Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._left = settings.database_pool_size

    async def fetch(self, statement: Statement, **values: object) -> list[Row]:
        """Carry a statement out, and return its rows."""
        arguments = statement.arguments(values)
        connection = self._take() or await self._make()
        try:
            rows = await connection.fetch(statement.text, *arguments, timeout=self._seconds)
        except asyncpg.PostgresError as error:
            self._give_back(connection)
            too_late = isinstance(error, asyncpg.QueryCanceledError)
            raise unavailable("database", error, timed_out=too_late) from error
        except BaseException as error:
            self._drop(connection)  # what it is in the middle of is nobody's any more
            if isinstance(error, TimeoutError):
                raise unavailable("database", error, timed_out=True) from error
            if isinstance(error, LOST) and not isinstance(
                error,
                ValueError,  # a value that cannot be sent is a defect of ours
            ):
                raise unavailable("database", error) from error
            raise
        self._give_back(connection)
        return [dict(row) for row in rows]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """Carry out all statements of the block, or none."""
        connection = self._take() or await self._make()
        try:
            async with database_within(self._limit), connection.transaction():
                yield Transaction(connection)
        except SourceUnavailableError:
            self._drop(connection)
            raise
        except BaseException:
            self._give_back(connection)
            raise
        self._give_back(connection)

    async def aclose(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().terminate()

    def _take(self) -> asyncpg.Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._left += 1
        return None

    async def _make(self) -> asyncpg.Connection:
        """Connect, or wait for a connection where there are as many as there may be."""
        async with database_within(self._limit):
            while self._left <= 0:
                turn = asyncio.get_running_loop().create_future()
                self._waiting.append(turn)
                try:
                    await turn
                except asyncio.CancelledError:
                    if turn.done() and not turn.cancelled():
                        self._wake_next()  # it was our turn, and we do not take it
                    raise
                if connection := self._take():
                    return connection
            self._left -= 1
            try:
                connection = await asyncpg.connect(**self._options)
                await _read_json(connection)
            except BaseException:
                self._left += 1
                self._wake_next()
                raise
        return connection

    def _give_back(self, connection: asyncpg.Connection) -> None:
        if connection.is_closed():
            self._left += 1
        else:
            self._idle.append(connection)
        if self._waiting:
            self._wake_next()

    def _drop(self, connection: asyncpg.Connection) -> None:
        connection.terminate()
        self._left += 1
        self._wake_next()

    def _wake_next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class Transaction:
    """A connection inside a transaction."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement, **values: object) -> list[Row]:
        """Carry a statement out, and return its rows."""
        rows = await self._connection.fetch(statement.text, *statement.arguments(values))
        return [dict(row) for row in rows]


async def _read_json(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )
