"""Faults inside PostgreSQL: a table that is locked, connections that run out, a migration."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg

_MIGRATED = {"order": "orders.orders", "payment": "payments.payments"}
_TRIES_TO_DROP = 5


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold a connection of the superuser's, past all proxies."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        yield connection
    finally:
        with suppress(asyncpg.PostgresError, OSError, TimeoutError):
            await connection.close(timeout=5)


async def lock_events(dsn: str, seconds: float) -> str:
    """Let nobody read or write an event for so many seconds."""
    async with connected(dsn) as connection:
        began = time.monotonic()
        async with connection.transaction():
            await connection.execute("LOCK TABLE orders.events IN ACCESS EXCLUSIVE MODE")
            waited = time.monotonic() - began
            await asyncio.sleep(seconds)
    return f"locked after {waited:.2f} s"


async def take_all_connections(dsn: str, seconds: float) -> str:
    """Cut everybody off, and hold every connection that PostgreSQL gives for so many seconds."""
    async with AsyncExitStack() as held:
        first = await held.enter_async_context(connected(dsn))
        await first.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename LIKE 'fuze\\_%' AND pid <> pg_backend_pid()"
        )
        taken = 1
        with suppress(asyncpg.TooManyConnectionsError):
            while True:
                await held.enter_async_context(connected(dsn))
                taken += 1
        await asyncio.sleep(seconds)
    return f"{taken} connections taken"


async def migrate(dsn: str, service: str, seconds: float) -> str:
    """Add a column to a busy table, as its owner would, and drop it after so many seconds."""
    table = _MIGRATED[service]
    async with connected(dsn) as connection:
        await connection.execute(f"SET ROLE fuze_{service}_migrator")
        await connection.execute("SET lock_timeout = '5s'")
        began = time.monotonic()
        await connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS passing text")
        waited = time.monotonic() - began
        await asyncio.sleep(seconds)
        for tries_left in reversed(range(_TRIES_TO_DROP)):
            try:
                await connection.execute(f"ALTER TABLE {table} DROP COLUMN passing")
                break
            except asyncpg.LockNotAvailableError:
                # A transaction whose link is half-open holds its locks for longer than we wait.
                if not tries_left:
                    raise
    return f"altered after {waited:.2f} s"


async def next_event(dsn: str, event: str, every: float) -> None:
    """Return as soon as an event of this type is committed, looking `every` so many seconds."""
    async with connected(dsn) as connection:
        # Events are only ever added, so that new ones are at the table's end: its last pages are
        # all that has to be read.
        pages = await connection.fetchval("SELECT pg_relation_size('orders.events') / 8192")
        query = (
            f"SELECT EXISTS (SELECT FROM orders.events WHERE ctid >= '({max(pages - 1, 0)},0)'"  # noqa: S608 - a number
            " AND type = $1 AND recorded_at > $2)"
        )
        since = await connection.fetchval("SELECT clock_timestamp()")
        while not await connection.fetchval(query, event, since):
            await asyncio.sleep(every)
