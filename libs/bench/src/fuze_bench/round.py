"""One round of one side: start it, warm it up, measure it at saturation and at a fixed rate."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuze_bench.config import BenchConfig
from fuze_bench.cpu_accounting import CpuMeter, memory_bytes, milliseconds_per_order
from fuze_bench.infrastructure import Infrastructure, run_components
from fuze_bench.load import Load, LoadError, OrderClient, run_closed_loop, run_open_loop
from fuze_bench.postgres_stats import PostgresStats
from fuze_bench.results import SideRound
from fuze_bench.side import POSTGRES, SANDBOX, TEMPORAL, Side
from fuze_bench.temporal_stats import HistoryCost, read_history_cost
from fuze_devstack.processes import ManagedProcess

_HISTORY_SAMPLE = 10
_SERVERS = {TEMPORAL: "temporal", POSTGRES: "postgres", SANDBOX: "sandbox"}

OnProgress = Callable[[str, int], None]
"""Receives what is being done, and how many orders were shipped since the last call."""


@dataclass(frozen=True, kw_only=True)
class _Saturation:
    """What was measured at a fixed concurrency, per order."""

    load: Load
    cpu: dict[str, float]
    writes: float
    wal_bytes: float


class RoundRunner:
    """Runs rounds on servers that keep running; a side's own processes run in its rounds only."""

    def __init__(
        self,
        infrastructure: Infrastructure,
        config: BenchConfig,
        environment: Path,
        on_progress: OnProgress,
    ) -> None:
        self._infrastructure = infrastructure
        self._config = config
        self._environment = environment
        self._on_progress = on_progress
        self._stats = PostgresStats(infrastructure.postgres)
        self._rate = config.rate

    async def run(self, side: Side, number: int) -> SideRound:
        """Run one round, and return what was measured.

        Raises:
            LoadError: an order was not shipped.
            StackError: a process of the side does not start.

        """
        config, infrastructure = self._config, self._infrastructure
        label = f"round {number + 1}/{config.rounds}, {side.title}:"
        components = side.build_components(infrastructure, self._environment)
        self._on_progress(f"{label} starting", 0)
        await self._stats.checkpoint()
        at_start = await self._stats.read()
        async with (
            run_components(components, infrastructure.folder) as processes,
            side.connect(infrastructure) as client,
        ):
            self._on_progress(f"{label} warm-up", 0)
            await self._closed_loop(client, config.warm_up)
            self._on_progress(f"{label} {config.concurrency} at once", 0)
            meter = CpuMeter(self._pids_by_role(side, processes))
            saturation = await self._saturate(client, meter)
            speed = config.orders / saturation.load.seconds
            saturated_latencies = await _latencies(client, saturation.load)
            self._rate = self._rate or round(speed / 2, 2)
            self._on_progress(f"{label} {self._rate:.1f} a second", 0)
            arrivals = await run_open_loop(client, self._rate, config.arrival_seconds, _do_nothing)
            arrival_latencies = await _latencies(client, arrivals)
            memory = memory_bytes(process.pid for process in processes.values())
            history = await self._read_history(side, saturation.load)
            self._on_progress(f"{label} idle", 0)
            idle_percent = await self._measure_idle(processes)
        at_end = await self._stats.read()
        orders = config.warm_up + config.orders + len(arrivals.due_at)
        return SideRound(
            side=side.name,
            round=number,
            orders_per_second=speed,
            cpu=saturation.cpu,
            writes=saturation.writes,
            transactions=(at_end.transactions - at_start.transactions) / orders,
            wal_bytes=saturation.wal_bytes,
            memory_bytes=memory,
            idle_percent=idle_percent,
            processes=_count_by_role(side, processes),
            saturated_latencies=saturated_latencies,
            rate=self._rate,
            arrival_latencies=arrival_latencies,
            repeated_requests=client.repeated_requests,
            history_events=history.events if history else None,
            workflow_tasks=history.workflow_tasks if history else None,
        )

    async def _saturate(self, client: OrderClient, meter: CpuMeter) -> _Saturation:
        orders = self._config.orders
        before, cpu_before = await self._stats.read(), meter.read()
        load = await self._closed_loop(client, orders)
        after, cpu_after = await self._stats.read(), meter.read()
        return _Saturation(
            load=load,
            cpu=milliseconds_per_order(cpu_before, cpu_after, orders),
            writes=(after.writes - before.writes) / orders,
            wal_bytes=(after.wal_bytes - before.wal_bytes) / orders,
        )

    async def _closed_loop(self, client: OrderClient, orders: int) -> Load:
        return await run_closed_loop(client, orders, self._config.concurrency, self._count_order)

    def _count_order(self) -> None:
        self._on_progress("", 1)

    def _pids_by_role(self, side: Side, own: dict[str, ManagedProcess]) -> dict[str, list[int]]:
        servers = self._infrastructure.processes
        pids = {role: [servers[_SERVERS[role]].pid] for role in side.servers}
        for name, process in own.items():
            pids.setdefault(side.roles[name], []).append(process.pid)
        return pids

    async def _measure_idle(self, own: dict[str, ManagedProcess]) -> float:
        """Return what the side's own processes use of one core, in percent."""
        meter = CpuMeter({name: [process.pid] for name, process in own.items()})
        before = meter.read()
        await asyncio.sleep(self._config.idle_seconds)
        after = meter.read()
        return sum(after[name] - before[name] for name in own) / self._config.idle_seconds * 100

    async def _read_history(self, side: Side, load: Load) -> HistoryCost | None:
        if side.workflow_ids is None:
            return None
        sample = list(load.due_at)[:_HISTORY_SAMPLE]
        return await read_history_cost(self._infrastructure.temporal, sample, side.workflow_ids)


def _do_nothing() -> None:
    """Leave the bar as it is: how many orders arrive is not known before the first round."""


async def _latencies(client: OrderClient, load: Load) -> list[float]:
    shipped_at = await client.shipped_at(list(load.due_at))
    if missing := load.due_at.keys() - shipped_at.keys():
        raise LoadError(f"{len(missing)} shipped orders have no record of it, as {min(missing)}")
    return load.latencies(shipped_at)


def _count_by_role(side: Side, processes: dict[str, ManagedProcess]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in processes:
        counts[side.roles[name]] = counts.get(side.roles[name], 0) + 1
    return counts
