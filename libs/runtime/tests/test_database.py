"""The connection pool of a process, on a real server."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_runtime.database import create_engine
from fuze_runtime.metrics import EnginePool
from fuze_runtime.settings import DatabaseSettings

_PID = sa.text("SELECT pg_backend_pid()")
_TRANSACTION = sa.text(
    "SELECT pid, virtualtransaction FROM pg_locks"
    " WHERE locktype = 'virtualxid' AND pid = pg_backend_pid()"
)


@pytest.fixture
async def engine(postgres: EmbeddedPostgres) -> AsyncIterator[AsyncEngine]:
    settings = DatabaseSettings.model_validate({"database_url": postgres.url("order")})
    engine = create_engine(settings, "fuze-test")
    yield engine
    await engine.dispose()


async def test_a_connection_that_the_server_has_closed_is_replaced(engine: AsyncEngine) -> None:
    async with engine.connect() as connection, engine.connect() as other:
        closed = (await connection.execute(_PID)).scalar_one()
        raw = (await connection.get_raw_connection()).driver_connection
        await connection.rollback()
        await other.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": closed})
    while not raw.is_closed():
        await asyncio.sleep(0.01)

    async with engine.connect() as connection, engine.connect() as other:
        in_use = {(await one.execute(_PID)).scalar_one() for one in (connection, other)}
    assert closed not in in_use
    assert len(in_use) == 2


async def test_no_transaction_precedes_one_of_ours(engine: AsyncEngine) -> None:
    transactions: dict[int, list[int]] = {}
    for _ in range(5):
        async with engine.begin() as connection:
            pid, transaction = (await connection.execute(_TRANSACTION)).one()
        transactions.setdefault(pid, []).append(int(transaction.partition("/")[2]))

    for numbers in transactions.values():
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert max(map(len, transactions.values())) > 1


async def test_the_pool_counts_who_has_a_connection_and_who_waits(engine: AsyncEngine) -> None:
    pool = EnginePool(engine)
    connections = [await engine.connect() for _ in range(pool.size)]
    waiting = asyncio.create_task(engine.connect().__aenter__())
    await asyncio.sleep(0)

    assert (pool.in_use, pool.waiting) == (pool.size, 1)

    await connections.pop().close()
    for connection in (*connections, await waiting):
        await connection.close()
    assert (pool.in_use, pool.waiting) == (0, 0)


@pytest.mark.usefixtures("configured_logging")
async def test_the_log_of_a_violated_constraint_has_no_row(
    postgres: EmbeddedPostgres, capfd: pytest.CaptureFixture[str]
) -> None:
    url = postgres.dsn.replace("postgresql://", "postgresql+asyncpg://")
    engine = create_engine(DatabaseSettings.model_validate({"database_url": url}), "fuze-test")
    personal = {"name": f"{'Grace'}-Hopper"}  # not as in the traceback's lines
    async with engine.connect() as connection:
        await connection.execute(sa.text("CREATE TEMP TABLE t (name text CHECK (name = 'Ada'))"))
        try:
            await connection.execute(sa.text("INSERT INTO t VALUES (:name)"), personal)
        except sa.exc.IntegrityError:
            logging.getLogger("a-test").exception("order not stored")
    await engine.dispose()
    logging.getLogger().handlers[0].flush()

    [line] = capfd.readouterr().out.splitlines()
    assert "t_name_check" in json.loads(line)["exception"]
    assert "Grace-Hopper" not in line
