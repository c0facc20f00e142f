"""The statements of the sides without Temporal, in a real PostgreSQL."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from fuze_bench.load import build_order
from fuze_bench.postgres_stats import DURABILITY_SETTINGS, PostgresStats
from fuze_bench.side import SOURCE
from fuze_bench.sides import order_sql as sql
from fuze_devstack.postgres import EmbeddedPostgres


@pytest.fixture
async def connection(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """A connection whose schema has the tables of a side."""
    connection = await asyncpg.connect(postgres.dsn)
    tables = (SOURCE / "fuze_bench/sides/tables.sql").read_text()
    await connection.execute("CREATE SCHEMA bench_test; SET search_path = bench_test; " + tables)
    yield connection
    await connection.execute("DROP SCHEMA bench_test CASCADE")
    await connection.close()


async def ship(connection: asyncpg.Connection, order: sql.Order, times: int) -> None:
    """Execute each statement of an order so many times, as retries do."""
    order_id = order["order_id"]
    payment, shipment = sql.payment_id(order_id), sql.shipment_id(order_id)

    async def execute(statement: str, *parameters: object) -> None:
        for _ in range(times):
            await connection.execute(statement, *parameters)

    async def record(event: str, **details: str) -> None:
        await execute(sql.TRANSITION, *sql.transition_parameters(order_id, event, **details))

    await execute(sql.RECEIVE, *sql.receive_parameters(order))
    await record("order_approved")
    await execute(sql.SUBMIT_PAYMENT, payment, order_id, sql.total(order), "USD", "pm_card_visa")
    await execute(sql.SETTLE_PAYMENT, payment, f"ch_{order_id}")
    await execute(sql.CHARGED, order_id, f"ch_{order_id}")
    await execute(sql.SUBMIT_SHIPMENT, *sql.shipment_parameters(order))
    await execute(sql.SETTLE_SHIPMENT, shipment, "sandbox-express", f"FZ{order_id}")
    await record("order_shipped", tracking_number=f"FZ{order_id}")


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_an_order_is_stored_once_however_often_its_steps_run(
    connection: asyncpg.Connection, times: int
) -> None:
    order = build_order(3)

    await ship(connection, order, times)

    row = await connection.fetchrow(sql.GET_ORDER, order["order_id"])
    assert (row["status"], row["payment_status"]) == ("shipped", "charged")
    assert row["tracking_number"] == f"FZ{order['order_id']}"
    counts = {
        table: await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own tables
        for table in ("orders", "order_lines", "events", "payments", "ledger_entries", "shipments")
    }
    assert counts == {
        "orders": 1,
        "order_lines": 1,
        "events": 6,
        "payments": 1,
        "ledger_entries": 2,
        "shipments": 1,
    }


async def test_an_order_is_read_as_it_was_placed(connection: asyncpg.Connection) -> None:
    order = build_order(3)
    await connection.execute(sql.RECEIVE, *sql.receive_parameters(order))
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=json.loads)

    row = dict(await connection.fetchrow(sql.GET_ORDER_WITH_LINES, order["order_id"]))

    assert row == order | {"status": "awaiting_approval"}


async def test_a_transition_out_of_order_changes_nothing(connection: asyncpg.Connection) -> None:
    order = build_order(0)
    await connection.execute(sql.RECEIVE, *sql.receive_parameters(order))

    await connection.execute(
        sql.TRANSITION, *sql.transition_parameters(order["order_id"], "order_shipped")
    )

    row = await connection.fetchrow(sql.GET_ORDER, order["order_id"])
    assert row["status"] == "awaiting_approval"


async def test_each_statement_of_an_order_is_one_write(
    connection: asyncpg.Connection, postgres: EmbeddedPostgres
) -> None:
    reader = await asyncpg.connect(postgres.dsn)
    stats = PostgresStats(reader)
    before = await stats.read()

    await ship(connection, build_order(0), times=1)

    after = await stats.read()
    await reader.close()
    assert after.writes - before.writes == 8
    assert after.wal_bytes > before.wal_bytes


async def test_reading_the_counters_is_no_write(connection: asyncpg.Connection) -> None:
    stats = PostgresStats(connection)

    assert (await stats.read()).writes == (await stats.read()).writes


async def test_the_settings_of_durability_are_read(connection: asyncpg.Connection) -> None:
    settings = await PostgresStats(connection).settings()

    assert settings.keys() == {"server_version", *DURABILITY_SETTINGS}
    assert settings["fsync"] == await connection.fetchval("SHOW fsync")
