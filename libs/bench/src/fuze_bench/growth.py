"""How Fuze's cost of an order changes as orders pile up: stored ones, and open ones."""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

from temporalio.client import Client

from fuze_bench.catalog import SIDES
from fuze_bench.config import BenchConfig
from fuze_bench.cpu_accounting import CpuMeter, memory_bytes, milliseconds_per_order
from fuze_bench.infrastructure import Infrastructure, run_components
from fuze_bench.load import OrderClient, build_order, run_closed_loop
from fuze_bench.postgres_stats import PostgresCounters, PostgresStats
from fuze_bench.results import Growth, GrowthStep
from fuze_bench.side import POSTGRES
from fuze_devstack.processes import ManagedProcess

_COPIES = """
    CREATE TEMP TABLE copies AS
        SELECT gen_random_uuid() AS id, n FROM generate_series(1, {count}) AS n;
    INSERT INTO orders.orders SELECT copied.* FROM copies, orders.orders AS template,
        jsonb_populate_record(template, jsonb_build_object(
            'id', copies.id, 'created_at', template.created_at - copies.n * interval '1 s'
        )) AS copied WHERE template.id = '{order_id}';
    INSERT INTO orders.events
        (order_id, seq, type, status, payment_status, actor, details, occurred_at)
        SELECT copies.id, seq, type, status, payment_status, actor, details, occurred_at
        FROM copies, orders.events WHERE order_id = '{order_id}';
    INSERT INTO orders.order_lines SELECT copied.* FROM copies, orders.order_lines AS template,
        jsonb_populate_record(template, jsonb_build_object('order_id', copies.id)) AS copied
        WHERE template.order_id = '{order_id}';
    INSERT INTO payments.payments SELECT copied.* FROM copies, payments.payments AS template,
        jsonb_populate_record(template, jsonb_build_object('id', gen_random_uuid(), 'order_id',
            copies.id, 'payment_token', copies.id || ':1', 'provider_reference', copies.id
        )) AS copied WHERE template.order_id = '{order_id}';
    INSERT INTO shipping.shipments SELECT copied.* FROM copies, shipping.shipments AS template,
        jsonb_populate_record(template, jsonb_build_object(
            'id', gen_random_uuid(), 'order_id', copies.id, 'tracking_number', copies.id
        )) AS copied WHERE template.order_id = '{order_id}';
    DROP TABLE copies
"""

_REPORT_SECONDS = 1.5

OnProgress = Callable[[str, int], None]


async def measure_growth(
    infrastructure: Infrastructure, config: BenchConfig, on_progress: OnProgress
) -> Growth:
    """Measure Fuze with few orders, with many stored ones, and with many open ones as well.

    Then the order worker is killed with all of them open.

    Raises:
        LoadError: an order was not shipped.

    """
    side = SIDES["fuze"]
    stats, steps = PostgresStats(infrastructure.postgres), []
    async with (
        run_components(side.build_components(infrastructure, Path()), infrastructure.folder) as own,
        side.connect(infrastructure) as client,
    ):
        meter = CpuMeter(
            {"own": [one.pid for one in own.values()]}
            | {POSTGRES: [infrastructure.processes["postgres"].pid]}
        )

        async def measure(name: str) -> None:
            on_progress(f"growth: {name}", 0)
            await infrastructure.postgres.execute("VACUUM (ANALYZE)")
            await run_closed_loop(client, config.warm_up, config.growth_concurrency, _count)
            before, cpu_before = await _read(stats), meter.read()
            await run_closed_loop(client, config.orders, config.growth_concurrency, _count)
            cpu_after, after = meter.read(), await _read(stats)
            cpu = milliseconds_per_order(cpu_before, cpu_after, config.orders)
            blocks = (after.blocks - before.blocks) / config.orders
            steps.append(GrowthStep(name=name, cpu_own=cpu["own"] + cpu[POSTGRES], blocks=blocks))

        def _count() -> None:
            on_progress("", 1)

        await measure("few orders")
        on_progress(f"growth: storing {config.stored_orders} orders", 0)
        await _store(infrastructure, config.stored_orders)
        await measure(f"{config.stored_orders} stored orders")
        on_progress(f"growth: starting {config.open_orders} orders", 0)
        open_orders = await _start(client, config.open_orders, config.growth_concurrency)
        on_progress(f"growth: waiting for {config.open_orders} orders", 0)
        await _wait_until_received(infrastructure, open_orders)
        await measure(f"{config.open_orders} open orders")
        on_progress("growth: the order worker is killed", 0)
        memory = memory_bytes([own["order"].pid])
        seconds = await _resume(infrastructure.temporal, own["order"], open_orders)
    return Growth(
        steps=tuple(steps),
        open_orders=len(open_orders),
        order_worker_bytes=memory,
        resume_seconds=seconds,
    )


async def _read(stats: PostgresStats) -> PostgresCounters:
    """Read the counters once the backends, which report every second, have reported."""
    await asyncio.sleep(_REPORT_SECONDS)
    return await stats.read()


async def _store(infrastructure: Infrastructure, count: int) -> None:
    """Store copies of an order that was shipped."""
    order_id = await infrastructure.postgres.fetchval(
        "SELECT id FROM orders.orders WHERE status = 'shipped' LIMIT 1"
    )
    for statement in _COPIES.format(count=count, order_id=order_id).split(";"):
        await infrastructure.postgres.execute(statement)


async def _start(client: OrderClient, count: int, concurrency: int) -> list[str]:
    """Start orders that are not approved."""
    orders = [build_order(number) for number in range(count)]
    slots = asyncio.Semaphore(concurrency)

    async def start(number: int) -> None:
        async with slots:
            await client.start(orders[number])

    await asyncio.gather(*map(start, range(count)))
    return [order["order_id"] for order in orders]


async def _wait_until_received(infrastructure: Infrastructure, order_ids: list[str]) -> None:
    """Wait for the rows: a start is answered before the workflow has run."""
    while True:
        received = await infrastructure.postgres.fetchval(
            "SELECT count(*) FROM orders.orders WHERE id = ANY($1::uuid[])", order_ids
        )
        if received == len(order_ids):
            return
        await asyncio.sleep(1)


async def _resume(temporal: Client, worker: ManagedProcess, order_ids: list[str]) -> float:
    """Kill the order worker; return how long it takes until a new one knows every open order."""
    worker.signal(signal.SIGKILL)
    await worker.wait_unexpected_exit()
    started_at = time.perf_counter()
    await worker.start()
    slots = asyncio.Semaphore(20)

    async def query(order_id: str) -> None:
        async with slots:
            await temporal.get_workflow_handle(f"order/{order_id}").query("status")

    await asyncio.gather(*map(query, order_ids))
    return time.perf_counter() - started_at
