"""The connection pool of a process."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fuze_runtime.settings import DatabaseSettings


def create_engine(settings: DatabaseSettings, application_name: str) -> AsyncEngine:
    """Return a pool whose every wait is bounded by `database_timeout`.

    It connects at its first use, so a process can start while PostgreSQL is unavailable. A pooled
    connection is tested before it is used: a restart of PostgreSQL closes it unnoticed.
    """
    seconds = settings.database_timeout.total_seconds()
    return create_async_engine(
        str(settings.database_url),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=seconds,
        pool_pre_ping=True,
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
