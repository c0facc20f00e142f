"""Superuser connections to the run's PostgreSQL, past all proxies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg

CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # What asyncpg raises where the server ends between two messages of one query.
    asyncpg.InternalClientError,
)
"""Errors of a connection, or of its query, while PostgreSQL is down because of a fault."""


@asynccontextmanager
async def connect(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold a connection for the length of a block."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        yield connection
    finally:
        with suppress(*CONNECTION_ERRORS):
            await connection.close(timeout=5)


async def list_service_connections(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    """Return the state and last query of every connection that a service holds."""
    rows = await connection.fetch(
        "SELECT application_name, state, wait_event_type, query,"
        " extract(epoch FROM clock_timestamp() - state_change)::float AS since_seconds"
        " FROM pg_stat_activity WHERE usename LIKE 'fuze\\_%' ORDER BY application_name"
    )
    return [dict(row) for row in rows]
