"""What a run measured: the content of bench.json."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median

from pydantic import BaseModel, ConfigDict

from fuze_bench.config import BenchConfig
from fuze_bench.percentiles import median_by_key, percentile, spread
from fuze_bench.side import SANDBOX, TEMPORAL


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="null")


class SideRound(_Record):
    """One round of one side. CPU is in milliseconds per order, latencies are in seconds.

    `idle_percent` is what the side's own processes use of one core when there is nothing to do.
    """

    side: str
    round: int
    orders_per_second: float
    cpu: dict[str, float]
    writes: float
    transactions: float
    wal_bytes: float
    memory_bytes: int
    idle_percent: float
    processes: dict[str, int]
    saturated_latencies: list[float]
    rate: float
    arrival_latencies: list[float]
    repeated_requests: int
    history_events: float | None = None
    workflow_tasks: float | None = None


class Latency(_Record):
    """Percentiles over the orders of all rounds, in seconds."""

    p50: float
    p99: float
    count: int

    @classmethod
    def of(cls, rounds: Sequence[Sequence[float]]) -> "Latency":
        """Return the percentiles of all rounds together."""
        values = [value for one in rounds for value in one]
        return cls(p50=percentile(values, 50), p99=percentile(values, 99), count=len(values))


class SideSummary(_Record):
    """The medians of a side's rounds. `spread` is that of its orders per second."""

    side: str
    orders_per_second: float
    spread: float
    cpu: dict[str, float]
    cpu_total: float
    cpu_own: float
    writes: float
    transactions: float
    wal_bytes: float
    memory_bytes: float
    idle_percent: float
    processes: dict[str, int]
    saturated: Latency
    arrivals: Latency
    rate: float
    repeated_requests: int
    history_events: float | None
    workflow_tasks: float | None


class SideInfo(_Record):
    """What is said about a side: how it runs, its versions, and what it cannot do."""

    name: str
    title: str
    setup: str
    versions: dict[str, str]
    limits: tuple[str, ...]


class Ratio(_Record):
    """A figure of one side, as a part of another's."""

    name: str
    value: float


class GrowthStep(_Record):
    """Fuze's cost of an order at one size of its data.

    `cpu_own` is in milliseconds: its processes and PostgreSQL. `blocks` are PostgreSQL's accesses
    to pages, which no machine changes.
    """

    name: str
    cpu_own: float
    blocks: float


class Growth(_Record):
    """What changes as orders pile up.

    With `open_orders` open the order worker used `order_worker_bytes`. After it was killed, another
    knew all of them again in `resume_seconds`.
    """

    steps: tuple[GrowthStep, ...]
    open_orders: int
    order_worker_bytes: int
    resume_seconds: float


class BenchReport(_Record):
    """A whole run. There is no `growth` in a quick one, or without Fuze."""

    started_at: datetime
    seconds: float
    machine: dict[str, str]
    durability: dict[str, str]
    config: BenchConfig
    sides: tuple[SideInfo, ...]
    rounds: tuple[SideRound, ...]
    summaries: tuple[SideSummary, ...]
    ratios: tuple[Ratio, ...]
    growth: Growth | None = None


_OUTSIDE = (SANDBOX, "load generator")
"""Roles that stand for the outside world: they are shown, and in no total."""


def summarize(side: str, rounds: Sequence[SideRound]) -> SideSummary:
    """Return the medians of a side's rounds."""
    cpu = median_by_key(one.cpu for one in rounds)
    inside = {role: value for role, value in cpu.items() if role not in _OUTSIDE}
    speeds = [one.orders_per_second for one in rounds]
    numbers = median_by_key(
        {
            "writes": one.writes,
            "transactions": one.transactions,
            "wal_bytes": one.wal_bytes,
            "memory_bytes": one.memory_bytes,
            "idle_percent": one.idle_percent,
            "rate": one.rate,
        }
        for one in rounds
    )
    return SideSummary(
        side=side,
        orders_per_second=median(speeds),
        spread=spread(speeds),
        cpu=cpu,
        cpu_total=sum(inside.values()),
        cpu_own=sum(value for role, value in inside.items() if role != TEMPORAL),
        **numbers,
        processes=rounds[-1].processes,
        saturated=Latency.of([one.saturated_latencies for one in rounds]),
        arrivals=Latency.of([one.arrival_latencies for one in rounds]),
        repeated_requests=sum(one.repeated_requests for one in rounds),
        history_events=rounds[-1].history_events,
        workflow_tasks=rounds[-1].workflow_tasks,
    )


def compare(summaries: Mapping[str, SideSummary]) -> tuple[Ratio, ...]:
    """Return the ratios that say how far Fuze is from the other sides that were measured."""
    fuze = summaries.get("fuze")
    if fuze is None:
        return ()
    ratios = [
        Ratio(
            name=f"orders per second, Fuze / {side}",
            value=_divide(fuze.orders_per_second, other.orders_per_second),
        )
        for side, other in summaries.items()
        if side != "fuze"
    ]
    if floor := summaries.get("floor"):
        ratios += [
            Ratio(name=f"CPU of the {role}, Fuze / floor", value=_divide(fuze.cpu[role], used))
            for role, used in floor.cpu.items()
            if role in fuze.cpu and role not in _OUTSIDE
        ]
        ratios.append(
            Ratio(
                name="p99 at the arrival rate, Fuze / floor",
                value=_divide(fuze.arrivals.p99, floor.arrivals.p99),
            )
        )
    ratios += [
        Ratio(
            name=f"CPU without Temporal's, Fuze / all of {side}",
            value=_divide(fuze.cpu_own, summaries[side].cpu_total),
        )
        for side in ("dbos", "celery")
        if side in summaries
    ]
    return tuple(ratios)


def _divide(one: float, other: float) -> float:
    return one / other if other else math.nan
