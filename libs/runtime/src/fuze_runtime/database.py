"""The connection pool of a process."""

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fuze_runtime.settings import DatabaseSettings


def create_engine(settings: DatabaseSettings, application_name: str) -> AsyncEngine:
    """Return a pool that fails within `database_timeout` seconds rather than hang.

    It connects when it is first used, so that a process starts while PostgreSQL is away. A pooled
    connection is tested before use, since one that PostgreSQL's restart broke looks alive.
    """
    timeout = settings.database_timeout
    return create_async_engine(
        str(settings.database_url),
        pool_size=settings.database_pool_size,
        max_overflow=0,
        pool_timeout=timeout,
        pool_pre_ping=True,
        hide_parameters=True,  # an error travels into logs and histories; who ordered what does not
        connect_args={
            "timeout": timeout,
            "command_timeout": timeout,
            "server_settings": {
                "application_name": application_name,
                "statement_timeout": str(int(timeout * 1000)),
                "idle_in_transaction_session_timeout": str(int(timeout * 2000)),
                "timezone": "UTC",
            },
        },
    )
