"""Old orders move to files while other orders are processed."""

import asyncio
import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from return_harness import NOW, create_shipped, read_events, request_return, set_order
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fuze_contracts.order import PlaceOrder
from fuze_order.archive import ArchiveInUseError, OrderArchive
from fuze_order.return_repository import ReturnRepository
from fuze_order.tables import orders

Order = Callable[..., PlaceOrder]

_OLD = NOW - timedelta(days=500)
_BEFORE = NOW - timedelta(days=400)


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("order")


@pytest.fixture
def archive(engine_of: Callable[[str], AsyncEngine], tmp_path: Path) -> OrderArchive:
    return OrderArchive(engine_of("order_migrator"), tmp_path)


@pytest.fixture
async def old(engine: AsyncEngine, make_order: Order) -> PlaceOrder:
    return await _create_old(engine, make_order)


async def _create_old(engine: AsyncEngine, make_order: Order) -> PlaceOrder:
    order = await create_shipped(engine, make_order)
    await set_order(engine, order, updated_at=_OLD)
    return order


async def _exists(engine: AsyncEngine, order: PlaceOrder) -> bool:
    query = sa.select(orders.c.id).where(orders.c.id == order.order_id)
    async with engine.connect() as connection:
        return (await connection.execute(query)).one_or_none() is not None


def _list(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / f"orders-{_OLD:%Y-%m}.jsonl.gz"
    with gzip.open(path, "rt") as file:
        documents = [json.loads(line) for line in file]
    return {one["order"]["id"]: one for one in documents}


async def test_an_old_order_moves_to_the_file_of_its_month_with_all_its_events(
    engine: AsyncEngine, archive: OrderArchive, old: PlaceOrder, tmp_path: Path
) -> None:
    events = [one.type for one in await read_events(engine, old.order_id)]

    assert await archive.archive(_BEFORE) == 1

    document = _read(tmp_path)[str(old.order_id)]
    assert [one["type"] for one in document["events"]] == events
    assert [one["sku"] for one in document["lines"]] == ["TEAPOT-1", "WARRANTY"]
    assert not await _exists(engine, old)
    assert [path.name for path in _list(tmp_path)] == [f"orders-{_OLD:%Y-%m}.jsonl.gz"]


async def test_open_and_recent_orders_stay(
    engine: AsyncEngine, archive: OrderArchive, make_order: Order
) -> None:
    recent = await create_shipped(engine, make_order)
    unfinished, returning = [await _create_old(engine, make_order) for _ in range(2)]
    await set_order(engine, unfinished, status="preparing")
    await ReturnRepository(engine).request(request_return(returning), _OLD)
    await set_order(engine, returning, updated_at=_OLD)

    assert await archive.archive(_BEFORE) == 0

    assert all([await _exists(engine, one) for one in (recent, unfinished, returning)])


async def test_a_later_run_keeps_what_the_file_has(
    engine: AsyncEngine, archive: OrderArchive, make_order: Order, tmp_path: Path
) -> None:
    first = await _create_old(engine, make_order)
    await archive.archive(_BEFORE)
    second = await _create_old(engine, make_order)

    await archive.archive(_BEFORE)

    assert _read(tmp_path).keys() == {str(first.order_id), str(second.order_id)}


@pytest.mark.parametrize("change", [{"last_seq": 3}, {"customer": None}])
async def test_an_order_that_changes_after_it_was_written_is_not_deleted(
    engine: AsyncEngine,
    archive: OrderArchive,
    old: PlaceOrder,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
) -> None:
    delete = archive._delete

    async def change_then_delete(archived: dict[str, str]) -> int:
        await set_order(engine, old, **change)
        return await delete(archived)

    monkeypatch.setattr(archive, "_delete", change_then_delete)

    assert await archive.archive(_BEFORE) == 0
    assert await _exists(engine, old)
    await set_order(engine, old, updated_at=NOW)  # for the tests that follow


async def test_a_second_archive_at_the_same_time_is_refused(
    engine: AsyncEngine,
    archive: OrderArchive,
    old: PlaceOrder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delete = archive._delete

    async def begin_another_then_delete(archived: dict[str, str]) -> int:
        with pytest.raises(ArchiveInUseError):
            await archive.archive(_BEFORE)
        return await delete(archived)

    monkeypatch.setattr(archive, "_delete", begin_another_then_delete)

    assert await archive.archive(_BEFORE) == 1
    assert not await _exists(engine, old)


async def test_no_order_waits_for_the_archive(
    engine: AsyncEngine, archive: OrderArchive, make_order: Order
) -> None:
    impatient = create_async_engine(
        engine.url, connect_args={"server_settings": {"lock_timeout": "200"}}
    )
    locked = await _create_old(engine, make_order)
    for _ in range(30):
        await _create_old(engine, make_order)
    async with engine.connect() as holder:
        row = sa.select(orders.c.id).where(orders.c.id == locked.order_id).with_for_update()
        await holder.execute(row)
        archiving = asyncio.create_task(archive.archive(_BEFORE))
        placed = [await create_shipped(impatient, make_order) for _ in range(5)]
        while not archiving.done():
            placed.append(await create_shipped(impatient, make_order))
        assert await archiving == 30
    assert all([await _exists(engine, one) for one in (locked, *placed)])
    await set_order(engine, locked, updated_at=NOW)  # for the tests that follow
    await impatient.dispose()
