"""The connection pool: bounded size, bounded time, no leaked connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import psutil
import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.database import Database, Statement
from fuze_gateway.settings import GatewaySettings
from fuze_gateway.upstreams import UpstreamUnavailableError

_SIZE = 3
_SLEEP = Statement.compile(sa.text("SELECT pg_sleep(:seconds)"))
_BROKEN = Statement.compile(sa.text("SELECT 1 / 0"))


@pytest.fixture
async def pool(settings: GatewaySettings) -> AsyncIterator[Database]:
    changed = settings.model_copy(update={"database_pool_size": _SIZE})
    pool = Database(changed, "pool-test", timedelta(seconds=1))
    yield pool
    await pool.aclose()


async def connections(postgres: EmbeddedPostgres) -> int:
    connection = await asyncpg.connect(postgres.dsn)
    count = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pool-test'"
    )
    await connection.close()
    return int(count)


async def test_many_statements_share_few_connections(
    pool: Database, postgres: EmbeddedPostgres
) -> None:
    sleeps = asyncio.gather(*(pool.fetch(_SLEEP, seconds=0.02) for _ in range(60)))
    counts = [await connections(postgres)]
    while not sleeps.done():
        counts.append(await connections(postgres))

    assert len(await sleeps) == 60
    assert 0 < max(counts) <= _SIZE


async def test_the_session_is_not_reset_between_statements(pool: Database) -> None:
    await pool.fetch(Statement.compile(sa.text("SELECT set_config('fuze.test', 'kept', false)")))

    [row] = await pool.fetch(
        Statement.compile(sa.text("SELECT current_setting('fuze.test', true) AS value"))
    )

    assert row["value"] == "kept"


async def test_a_cancelled_statement_leaks_no_connection(
    pool: Database, postgres: EmbeddedPostgres
) -> None:
    for _ in range(10):
        sleeps = [asyncio.create_task(pool.fetch(_SLEEP, seconds=0.05)) for _ in range(10)]
        await asyncio.sleep(0.01)
        for sleep in sleeps[::2]:  # some wait for a connection, some have one
            sleep.cancel()
        await asyncio.gather(*sleeps, return_exceptions=True)

    sleeps = [asyncio.create_task(pool.fetch(_SLEEP, seconds=0.02)) for _ in range(30)]
    assert len(await asyncio.gather(*sleeps)) == 30
    assert await connections(postgres) <= _SIZE


async def test_a_statement_that_fails_or_times_out_leaks_no_connection(
    pool: Database, postgres: EmbeddedPostgres
) -> None:
    for statement, values in [(_BROKEN, {}), (_SLEEP, {"seconds": 30})] * _SIZE:
        with pytest.raises(UpstreamUnavailableError):
            await pool.fetch(statement, **values)

    await asyncio.gather(*(pool.fetch(_SLEEP, seconds=0.01) for _ in range(20)))
    assert await connections(postgres) <= _SIZE


async def test_connections_that_the_server_closed_are_replaced(
    pool: Database, postgres: EmbeddedPostgres
) -> None:
    await asyncio.gather(*(pool.fetch(_SLEEP, seconds=0.05) for _ in range(_SIZE)))
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'pool-test'"
    )
    await connection.close()
    await asyncio.sleep(0.05)

    for _ in range(_SIZE):
        await pool.fetch(_SLEEP, seconds=0)


async def test_a_connection_whose_server_announced_shutdown_is_unavailable_before_it_is_closed(
    pool: Database,
) -> None:
    announcement = b"SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
    for use in (_fetch, _transact):
        await pool.fetch(_SLEEP, seconds=0)
        pool._idle[-1]._protocol.data_received(
            b"E" + (len(announcement) + 4).to_bytes(4) + announcement
        )

        with pytest.raises(UpstreamUnavailableError):
            await use(pool)

    await asyncio.gather(*(pool.fetch(_SLEEP, seconds=0.01) for _ in range(20)))


async def _fetch(pool: Database) -> None:
    await pool.fetch(_SLEEP, seconds=0)


async def _transact(pool: Database) -> None:
    async with pool.transaction() as transaction:
        await transaction.fetch(_SLEEP, seconds=0)


async def test_a_failed_transaction_leaks_no_connection(pool: Database) -> None:
    for _ in range(_SIZE * 2):
        with contextlib.suppress(KeyError):
            async with pool.transaction() as transaction:
                await transaction.fetch(_SLEEP, seconds=0)
                raise KeyError
    for _ in range(_SIZE * 2):
        with contextlib.suppress(UpstreamUnavailableError):
            async with pool.transaction() as transaction:
                await transaction.fetch(_BROKEN)

    await asyncio.gather(*(pool.fetch(_SLEEP, seconds=0.01) for _ in range(20)))


async def test_a_silent_server_is_bounded_by_the_timeout(
    settings: GatewaySettings, silent_port: int
) -> None:
    url = f"postgresql+asyncpg://gateway@127.0.0.1:{silent_port}/nothing"
    silent = settings.model_copy(update={"database_url": SecretStr(url)})
    pool = Database(silent, "pool-test", timedelta(seconds=0.2))
    started_at = asyncio.get_running_loop().time()

    with pytest.raises(UpstreamUnavailableError) as error:
        await pool.fetch(_SLEEP, seconds=0)

    assert error.value.timed_out
    assert asyncio.get_running_loop().time() - started_at < 0.4


async def test_a_server_that_stops_responding_is_bounded_by_the_timeout(
    pool: Database,
) -> None:
    [row] = await pool.fetch(Statement.compile(sa.text("SELECT pg_backend_pid() AS pid")))
    backend = psutil.Process(row["pid"])
    backend.suspend()
    started_at = asyncio.get_running_loop().time()

    try:
        with pytest.raises(UpstreamUnavailableError):
            await pool.fetch(_SLEEP, seconds=0)
    finally:
        backend.resume()

    assert asyncio.get_running_loop().time() - started_at < 1.2
