"""A restored dump, as docs/how-to/backup.md describes it."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa
from order_harness import Handle, OrderHarness, run_workers, until, waits_for
from sqlalchemy.ext.asyncio import create_async_engine

import fuze_devstack
from fuze_contracts.order import OrderWorkflow, PlaceOrder, Recovery
from fuze_contracts.order_states import OrderStatus, WaitingFor
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_devstack.server_user import postgres_package
from fuze_order.repository import OrderRepository

pytestmark = pytest.mark.proof

Order = Callable[..., PlaceOrder]
_BIN = postgres_package() / "pginstall/bin"
_ROLES = Path(fuze_devstack.__file__).with_name("roles.sql")


def _dump(postgres: EmbeddedPostgres, path: Path) -> None:
    command = [str(_BIN / "pg_dump"), "--format=custom", f"--file={path}", postgres.dsn]
    subprocess.run(command, check=True)


def _restore(postgres: EmbeddedPostgres, path: Path) -> str:
    """Restore into a fresh database, and return its name."""
    name = f"restored_{uuid4().hex[:8]}"
    postgres._psql("postgres", "-c", f"CREATE DATABASE {name}")
    postgres._psql(name, "-f", str(_ROLES))
    target = postgres.dsn.removesuffix("fuze") + name
    options = ("--clean", "--if-exists", "--exit-on-error", f"--dbname={target}")
    subprocess.run([str(_BIN / "pg_restore"), *options, str(path)], check=True)
    postgres._psql(name, "-c", "UPDATE orders.events SET transaction_id = 0")
    return name


def _use(harness: OrderHarness, postgres: EmbeddedPostgres, database: str) -> OrderHarness:
    url = postgres.url("order").removesuffix("fuze") + database
    return replace(harness, engine=create_async_engine(url))


async def _recover(harness: OrderHarness, order: PlaceOrder) -> Handle:
    recovery = Recovery(actor="grace", received_at=datetime.now(UTC))
    return await harness.place(order.model_copy(update={"recovery": recovery}))


async def test_orders_in_every_phase_continue_from_a_dump_without_their_workflows(
    without_workers: OrderHarness,
    postgres: EmbeddedPostgres,
    make_order: Order,
    tmp_path: Path,
) -> None:
    waiting, preparing, shipped = (make_order() for _ in range(3))
    async with run_workers(without_workers, OrderRepository(without_workers.engine)):
        done = await without_workers.place(shipped)
        await done.signal(OrderWorkflow.approve)
        await done.result()
        first = await without_workers.place(waiting)
        await until(first, waits_for(WaitingFor.APPROVAL))
        second = await without_workers.preparing(preparing)
        await until(second, waits_for(WaitingFor.SHIPPING))
    timelines = [await without_workers.timeline(one.order_id) for one in (waiting, shipped)]
    _dump(postgres, tmp_path / "fuze.dump")
    await first.terminate()
    await second.terminate()

    restored = _use(without_workers, postgres, _restore(postgres, tmp_path / "fuze.dump"))
    restored.respond_at_once()

    assert [await restored.timeline(one.order_id) for one in (waiting, shipped)] == timelines
    assert await restored.row_status(shipped.order_id) == "shipped"
    async with run_workers(restored, OrderRepository(restored.engine)):
        first = await _recover(restored, waiting)
        await first.signal(OrderWorkflow.approve)
        second = await _recover(restored, preparing)
        assert (await first.result()).status is OrderStatus.SHIPPED
        assert (await second.result()).status is OrderStatus.SHIPPED
    tokens = [one.payment_token for one in restored.payments.charges]
    assert len(set(tokens)) == 3  # repeated, if at all, under the same token
    await restored.engine.dispose()


async def test_an_order_that_is_ahead_of_an_older_dump_waits_until_it_is_recovered(
    without_workers: OrderHarness,
    postgres: EmbeddedPostgres,
    make_order: Order,
    tmp_path: Path,
) -> None:
    order = make_order()
    async with run_workers(without_workers, OrderRepository(without_workers.engine)):
        handle = await without_workers.place(order)
        await until(handle, waits_for(WaitingFor.APPROVAL))
        _dump(postgres, tmp_path / "fuze.dump")
        without_workers.shipping.may_dispatch.clear()
        await handle.signal(OrderWorkflow.approve)
        await until(handle, waits_for(WaitingFor.SHIPPING))

    restored = _use(without_workers, postgres, _restore(postgres, tmp_path / "fuze.dump"))
    restored.respond_at_once()

    async with run_workers(restored, OrderRepository(restored.engine)):
        behind = await until(handle, lambda one: one.last_error is not None)
        assert "is not at event" in str(behind.last_error)
        assert await restored.row_status(order.order_id) == "awaiting_approval"
        await handle.terminate()
        recovered = await _recover(restored, order)
        await recovered.signal(OrderWorkflow.approve)
        assert (await recovered.result()).status is OrderStatus.SHIPPED
    async with restored.engine.connect() as connection:
        numbers = await connection.execute(
            sa.text("SELECT seq FROM orders.events WHERE order_id = :id ORDER BY seq"),
            {"id": order.order_id},
        )
        found = [row.seq for row in numbers]
    assert found == list(range(1, len(found) + 1))
    await restored.engine.dispose()
