"""PostgreSQL faults: a locked table, exhausted connections, a migration under load."""

import asyncio
import time

import asyncpg
import stamina

from fuze_chaos.snapshots.postgres import connect

_CONNECTS_AT_ONCE = 20
_CONNECT_TIMEOUT_SECONDS = 10
_TABLES = {"order": "orders.orders", "payment": "payments.payments"}


async def lock_events(dsn: str, seconds: float) -> str:
    """Hold an ACCESS EXCLUSIVE lock on the events table for so many seconds."""
    async with connect(dsn) as connection:
        started = time.monotonic()
        async with connection.transaction():
            await connection.execute("LOCK TABLE orders.events IN ACCESS EXCLUSIVE MODE")
            waited = time.monotonic() - started
            await asyncio.sleep(seconds)
    return f"lock acquired after {waited:.2f} s"


async def exhaust_connections(dsn: str, seconds: float) -> str:
    """Terminate the services' connections, and occupy every free one for so many seconds.

    Connections are opened many at a time and ended without a handshake: one by one, both took
    minutes while thousands of orders waited.
    """
    occupied: list[asyncpg.Connection] = []
    try:
        first = await asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_SECONDS)
        occupied.append(first)
        await first.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename LIKE 'fuze\\_%' AND pid <> pg_backend_pid()"
        )
        refusals: list[BaseException] = []
        while not refusals:
            attempts = [
                asyncpg.connect(dsn, timeout=_CONNECT_TIMEOUT_SECONDS)
                for _ in range(_CONNECTS_AT_ONCE)
            ]
            for result in await asyncio.gather(*attempts, return_exceptions=True):
                if isinstance(result, BaseException):
                    refusals.append(result)
                else:
                    occupied.append(result)
        for refusal in refusals:
            if not isinstance(refusal, asyncpg.TooManyConnectionsError):
                raise refusal
        await asyncio.sleep(seconds)
    finally:
        for connection in occupied:
            connection.terminate()
    return f"{len(occupied)} connections occupied"


async def migrate(dsn: str, service: str, seconds: float) -> str:
    """Add a column to a busy table as its owner, and drop it after so many seconds."""
    table = _TABLES[service]
    async with connect(dsn) as connection:
        await connection.execute(f"SET ROLE fuze_{service}_migrator")
        await connection.execute("SET lock_timeout = '5s'")
        started = time.monotonic()
        await connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS chaos text")
        waited = time.monotonic() - started
        await asyncio.sleep(seconds)
        # A transaction behind a blackholed connection can hold its locks past our lock timeout.
        retries = stamina.retry_context(
            on=asyncpg.LockNotAvailableError, attempts=5, timeout=None, wait_jitter=0
        )
        async for attempt in retries:
            with attempt:
                await connection.execute(f"ALTER TABLE {table} DROP COLUMN chaos")
    return f"altered after {waited:.2f} s"


async def wait_for_event(dsn: str, event: str, poll_interval: float) -> str:
    """Return the order of the next event of this type, as soon as it is committed."""
    async with connect(dsn) as connection:
        # The table is append-only: new events are in its last pages, a scan of which is cheap.
        pages = await connection.fetchval("SELECT pg_relation_size('orders.events') / 8192")
        query = (
            f"SELECT order_id::text FROM orders.events WHERE ctid >= '({max(pages - 1, 0)},0)'"  # noqa: S608 - a number
            " AND type = $1 AND recorded_at > $2 LIMIT 1"
        )
        since = await connection.fetchval("SELECT clock_timestamp()")
        while (order_id := await connection.fetchval(query, event, since)) is None:
            await asyncio.sleep(poll_interval)
        return str(order_id)
