"""The connection pool of a process, on a real server."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_runtime.database import create_engine
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
