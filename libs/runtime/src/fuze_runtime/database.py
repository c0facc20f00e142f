"""The connection pool of a process."""

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fuze_runtime.settings import DatabaseSettings


def create_engine(settings: DatabaseSettings, application_name: str) -> AsyncEngine:
    """Return a pool whose every wait is bounded by `database_timeout`.

    It connects at its first use, so a process can start while PostgreSQL is unavailable. A pooled
    connection that the server has closed, as a restart does, is replaced before it is used.
    """
    seconds = settings.database_timeout.total_seconds()
    engine = create_async_engine(
        str(settings.database_url),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=seconds,
        hide_parameters=True,  # errors reach logs and histories; personal data must not
        connect_args={
            "timeout": seconds,
            "command_timeout": seconds,
            "server_settings": {
                "application_name": application_name,
                "statement_timeout": str(int(seconds * 1000)),
                "idle_in_transaction_session_timeout": str(int(seconds * 2000)),
                "timezone": "UTC",
            },
        },
    )
    event.listen(engine.sync_engine, "checkout", _reject_closed)
    return engine


def _reject_closed(connection: DBAPIConnection, *_: object) -> None:
    """Let the pool replace a connection whose socket is closed.

    asyncpg sees that without a query; SQLAlchemy's own ping would be a transaction of two round
    trips before each of ours.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
