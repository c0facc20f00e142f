"""The pool of a worker, and migrations, behind PgBouncer."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_runtime import migrations
from fuze_runtime.database import create_engine
from fuze_runtime.settings import DatabaseSettings, MigrationSettings
from fuze_testing.pgbouncer import needs_pgbouncer, serve_pgbouncer

pytestmark = needs_pgbouncer


@asynccontextmanager
async def connected(url: str, *, transaction_pooling: bool = False) -> AsyncIterator[AsyncEngine]:
    settings = DatabaseSettings.model_validate(
        {"database_url": url, "database_transaction_pooling": transaction_pooling}
    )
    engine = create_engine(settings, "fuze-test")
    yield engine
    await engine.dispose()


async def use(engine: AsyncEngine) -> None:
    """Execute statements of several shapes on several connections at once."""

    async def transact(number: int) -> None:
        async with engine.begin() as connection:
            for shape in range(3):
                columns = ", ".join(
                    f":value + {column} AS c{column}" for column in range(shape + 1)
                )
                row = await connection.execute(
                    sa.text(f"SELECT {columns}, '{{}}'::jsonb, pg_sleep(0.001)"), {"value": number}
                )
                assert row.one()[0] == number

    for _ in range(3):
        await asyncio.gather(*(transact(number) for number in range(8)))


async def test_a_pooler_in_session_mode_needs_no_setting(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with serve_pgbouncer(tmp_path, postgres.url("order"), "session", pool_size=10) as url:
        async with connected(url) as engine:
            await use(engine)
            async with engine.connect() as connection:
                timeout = await connection.scalar(sa.text("SHOW statement_timeout"))

    assert timeout == "5s"


async def test_a_pooler_in_transaction_mode_works_with_its_setting(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with serve_pgbouncer(tmp_path, postgres.url("order"), "transaction", pool_size=2) as url:
        async with (
            connected(url, transaction_pooling=True) as engine,
            connected(url, transaction_pooling=True) as other,
        ):
            await asyncio.gather(use(engine), use(other))


async def use_often(*engines: AsyncEngine) -> None:
    """Use the engines until their statements meet in one session of the server."""
    for _ in range(100):
        await asyncio.gather(*(use(engine) for engine in engines))


@pytest.mark.usefixtures("configured_logging")
async def test_a_pooler_in_transaction_mode_without_its_setting_is_logged_with_it(
    postgres: EmbeddedPostgres, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serve_pgbouncer(tmp_path, postgres.url("order"), "transaction", pool_size=2) as url:
        async with connected(url) as engine, connected(url) as other:
            with pytest.raises(DBAPIError):
                await use_often(engine, other)

    logging.getLogger().handlers[0].flush()
    lines = [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]
    assert "FUZE_DATABASE_TRANSACTION_POOLING=true" in lines[0]


@pytest.mark.parametrize("pool_mode", ["session", "transaction"])
async def test_a_migration_works_behind_a_pooler(
    postgres: EmbeddedPostgres, tmp_path: Path, pool_mode: str
) -> None:
    migrator = postgres.url("order_migrator")
    with serve_pgbouncer(tmp_path, migrator, pool_mode, pool_size=2) as url:
        settings = MigrationSettings(
            migration_database_url=url, database_transaction_pooling=pool_mode == "transaction"
        )
        await asyncio.to_thread(migrations.check, settings, "fuze_order")
        await asyncio.to_thread(migrations.upgrade, settings, "fuze_order")
