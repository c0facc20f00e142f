"""The gateway's pool: never more connections than it may have, and never fewer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import psutil
import pytest
import sqlalchemy as sa

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.database import Database, Statement
from fuze_gateway.settings import GatewaySettings

_SIZE = 3
_NAP = Statement.of(sa.text("SELECT pg_sleep(:seconds)"))
_BROKEN = Statement.of(sa.text("SELECT 1 / 0"))


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


async def test_many_share_few_connections(pool: Database, postgres: EmbeddedPostgres) -> None:
    naps = [asyncio.create_task(pool.fetch(_NAP, seconds=0.02)) for _ in range(60)]
    await asyncio.sleep(0.1)
    meanwhile = await connections(postgres)

    assert len(await asyncio.gather(*naps)) == 60
    assert 0 < meanwhile <= _SIZE


async def test_whoever_gives_up_takes_no_connection_along(
    pool: Database, postgres: EmbeddedPostgres
) -> None:
    for _ in range(20):
        naps = [asyncio.create_task(pool.fetch(_NAP, seconds=0.05)) for _ in range(10)]
        await asyncio.sleep(0.01)
        for nap in naps[::2]:  # some of them wait for a connection, some have one
            nap.cancel()
        await asyncio.gather(*naps, return_exceptions=True)

    naps = [asyncio.create_task(pool.fetch(_NAP, seconds=0.02)) for _ in range(30)]
    assert len(await asyncio.gather(*naps)) == 30
    assert await connections(postgres) <= _SIZE


async def test_a_statement_that_fails_or_takes_too_long_costs_no_place(
    pool: Database, postgres: EmbeddedPostgres
) -> None:
    for statement, values in [(_BROKEN, {}), (_NAP, {"seconds": 30})] * _SIZE:
        with pytest.raises(SourceUnavailableError):
            await pool.fetch(statement, **values)

    await asyncio.gather(*(pool.fetch(_NAP, seconds=0.01) for _ in range(20)))
    assert await connections(postgres) <= _SIZE


async def test_connections_that_the_server_ended_are_made_again(
    pool: Database, postgres: EmbeddedPostgres
) -> None:
    await asyncio.gather(*(pool.fetch(_NAP, seconds=0.05) for _ in range(_SIZE)))
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'pool-test'"
    )
    await connection.close()
    await asyncio.sleep(0.05)

    for _ in range(_SIZE):
        await pool.fetch(_NAP, seconds=0)


async def test_a_connection_whose_server_says_goodbye_is_away_before_it_is_closed(
    pool: Database,
) -> None:
    said = b"SFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
    for use in (_fetch, _transact):
        await pool.fetch(_NAP, seconds=0)
        pool._idle[-1]._protocol.data_received(b"E" + (len(said) + 4).to_bytes(4) + said)

        with pytest.raises(SourceUnavailableError):
            await use(pool)

    await asyncio.gather(*(pool.fetch(_NAP, seconds=0.01) for _ in range(20)))


async def _fetch(pool: Database) -> None:
    await pool.fetch(_NAP, seconds=0)


async def _transact(pool: Database) -> None:
    async with pool.transaction() as transaction:
        await transaction.fetch(_NAP, seconds=0)


async def test_a_transaction_that_fails_keeps_nothing_and_costs_no_place(pool: Database) -> None:
    for _ in range(_SIZE * 2):
        with contextlib.suppress(KeyError):
            async with pool.transaction() as transaction:
                await transaction.fetch(_NAP, seconds=0)
                raise KeyError
    for _ in range(_SIZE * 2):
        with contextlib.suppress(SourceUnavailableError):
            async with pool.transaction() as transaction:
                await transaction.fetch(_BROKEN)

    await asyncio.gather(*(pool.fetch(_NAP, seconds=0.01) for _ in range(20)))


async def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_said(
    settings: GatewaySettings, silent_port: int
) -> None:
    url = f"postgresql+asyncpg://nobody@127.0.0.1:{silent_port}/nothing"
    silent = settings.model_copy(update={"database_url": url})
    pool = Database(silent, "pool-test", timedelta(seconds=0.2))
    began = asyncio.get_running_loop().time()

    with pytest.raises(SourceUnavailableError) as error:
        await pool.fetch(_NAP, seconds=0)

    assert error.value.timed_out
    assert asyncio.get_running_loop().time() - began < 0.4


async def test_a_server_that_stops_answering_is_waited_for_no_longer_than_said(
    pool: Database,
) -> None:
    [row] = await pool.fetch(Statement.of(sa.text("SELECT pg_backend_pid() AS pid")))
    backend = psutil.Process(row["pid"])
    backend.suspend()
    began = asyncio.get_running_loop().time()

    try:
        with pytest.raises(SourceUnavailableError):
            await pool.fetch(_NAP, seconds=0)
    finally:
        backend.resume()

    assert asyncio.get_running_loop().time() - began < 1.2
