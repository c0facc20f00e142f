"""How every process connects to PostgreSQL, and the connection pool of a worker."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg
import structlog
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fuze_runtime import tracing
from fuze_runtime.database_url import ParsedUrl
from fuze_runtime.metrics import CountingPool
from fuze_runtime.settings import DatabaseSettings, PostgresSettings

Connect = Callable[..., Awaitable[asyncpg.Connection]]
"""Opens a connection."""

_LOST_STATEMENTS = frozenset({"26000", "42P05"})
"""A prepared statement does not exist, or exists already."""


def build_connect(
    settings: PostgresSettings,
    url: SecretStr,
    application_name: str,
    *,
    connect_timeout: float,
    session: Mapping[str, str],
    **options: float,
) -> Connect:
    """Return the function with which a process opens each of its connections.

    `session` has run-time parameters of PostgreSQL; a pooler that pools by transaction would
    share them among clients, so that they are left out. `options` are those of asyncpg. The URL's
    `application_name` and `connect_timeout` (seconds) take precedence.

    Raises:
        ValueError: a certificate or key that the URL names can no longer be read.

    """
    parsed = ParsedUrl.parse(url.get_secret_value())
    arguments: dict[str, Any] = {
        **options,
        "dsn": parsed.dsn,
        "ssl": parsed.build_ssl("prefer" if settings.environment == "local" else "verify-full"),
        "timeout": parsed.connect_timeout or connect_timeout,
        # A pooler accepts these two with the connection, and no others.
        "server_settings": {
            "application_name": parsed.application_name or application_name,
            "timezone": "UTC",
        },
    }
    statements = "; ".join(f"SET {name} = '{value}'" for name, value in session.items())
    if settings.database_transaction_pooling:
        statements = ""
        arguments["statement_cache_size"] = 0

    async def connect() -> asyncpg.Connection:
        connection = await asyncpg.connect(**arguments)
        if statements:
            try:
                await connection.execute(statements)
            except BaseException:
                connection.terminate()
                raise
        return connection

    return connect


def build_engine(settings: PostgresSettings, connect: Connect, **options: Any) -> AsyncEngine:  # noqa: ANN401 - those of SQLAlchemy
    """Return an engine whose connections `connect` opens."""
    caches: dict[str, Any] = {}
    if settings.database_transaction_pooling:
        # Each statement is prepared without a name: the next one may be on another connection.
        caches = {
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: "",
        }
    engine = create_async_engine(
        "postgresql+asyncpg://",
        hide_parameters=True,  # errors reach logs and histories; personal data must not
        connect_args={"async_creator_fn": connect, **caches},
        **options,
    )
    event.listen(engine.sync_engine, "handle_error", _explain_pooling)
    return engine


def create_engine(settings: DatabaseSettings, application_name: str) -> AsyncEngine:
    """Return a pool whose every wait is bounded by `database_timeout`.

    It connects at its first use, so a process can start while PostgreSQL is unavailable. A pooled
    connection that the server has closed, as a restart does, is replaced before it is used.
    """
    seconds = settings.database_timeout.total_seconds()
    connect = build_connect(
        settings,
        settings.database_url,
        application_name,
        connect_timeout=seconds,
        session={
            "statement_timeout": str(int(seconds * 1000)),
            "idle_in_transaction_session_timeout": str(int(seconds * 2000)),
        },
        command_timeout=seconds,
    )
    engine = build_engine(
        settings,
        connect,
        poolclass=CountingPool,
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=seconds,
    )
    event.listen(engine.sync_engine, "checkout", _reject_closed)
    tracing.trace_statements(engine.sync_engine)
    return engine


def log_if_pooled_by_transaction(error: BaseException) -> None:
    """Log the setting that is missing where a prepared statement was lost."""
    if getattr(error, "sqlstate", None) in _LOST_STATEMENTS:
        structlog.get_logger(__name__).error(
            "PostgreSQL is behind a pooler that pools by transaction:"
            " set FUZE_DATABASE_TRANSACTION_POOLING=true, or pool by session"
        )


def _explain_pooling(context: ExceptionContext) -> None:
    log_if_pooled_by_transaction(context.original_exception)


def _reject_closed(connection: DBAPIConnection, *_: object) -> None:
    """Let the pool replace a connection whose socket is closed.

    asyncpg sees that without a query; SQLAlchemy's own ping would be a transaction of two round
    trips before each of ours.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
