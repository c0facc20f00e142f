"""The rows of the report: each figure of each side as text. The terminal and the page show them."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from fuze_bench.clients import MAX_POLL_SECONDS, POLL_SECONDS
from fuze_bench.cpu_accounting import LOAD_GENERATOR
from fuze_bench.results import BenchReport, Growth, Latency, SideSummary
from fuze_bench.side import ROLES

_NONE = "-"


@dataclass(frozen=True)
class Row:
    """A figure: its name, and its text for each side, in the report's order of sides."""

    name: str
    values: tuple[str, ...]
    is_heading: bool = False


def build_rows(report: BenchReport) -> list[Row]:
    """Return every figure; roles that no side has are left out."""
    summaries = report.summaries
    rate = summaries[0].rate if summaries else math.nan

    def row(name: str, text: Callable[[SideSummary], str]) -> Row:
        return Row(name, tuple(text(one) for one in summaries))

    def heading(name: str) -> Row:
        return Row(name, ("",) * len(summaries), is_heading=True)

    used = {role for one in summaries for role in one.cpu}
    roles = [role for role in (*ROLES, LOAD_GENERATOR) if role in used]
    return [
        row("orders per second", lambda one: f"{one.orders_per_second:.1f}"),
        *([row("  ± between rounds", _spread)] if report.config.rounds > 1 else []),
        heading("CPU, ms per order"),
        *(row(f"  {role}", lambda one, role=role: _cpu(one, role)) for role in roles),  # type: ignore[misc] # not inferred of a lambda with a default
        row("  all of it *", lambda one: f"{one.cpu_total:.1f}"),
        row("  all without Temporal *", lambda one: f"{one.cpu_own:.1f}"),
        heading("latency, s: p50 / p99"),
        row("  at saturation", lambda one: _latency(one.saturated)),
        row(f"  at {rate:.2f} arrivals/s", lambda one: _latency(one.arrivals)),
        *_repeated(report),
        heading("per order"),
        row("  writing transactions", lambda one: _count(one, one.writes)),
        row("  all transactions", lambda one: _count(one, one.transactions)),
        row("  WAL, kB", lambda one: _count(one, one.wal_bytes / 1000)),
        row("  history events", lambda one: _optional(one.history_events)),
        row("  workflow tasks", lambda one: _optional(one.workflow_tasks)),
        heading("running"),
        row("  processes", lambda one: str(sum(one.processes.values()))),
        row("  idle CPU, % of a core", lambda one: f"{one.idle_percent:.1f}"),
        row("  memory, MB", lambda one: f"{one.memory_bytes / 1e6:.0f}"),
    ]


def build_growth_rows(growth: Growth) -> list[Row]:
    """Return what an order costs at each size, and what open orders cost."""
    return [
        *(
            Row(f"{one.name}: CPU, ms per order; pages", (f"{one.cpu_own:.1f}; {one.blocks:.0f}",))
            for one in growth.steps
        ),
        Row(
            f"memory of the order worker with {growth.open_orders} open orders, MB",
            (f"{growth.order_worker_bytes / 1e6:.0f}",),
        ),
        Row("from its kill until another knows all of them, s", (f"{growth.resume_seconds:.1f}",)),
    ]


def footnotes(report: BenchReport) -> list[str]:
    """Return what the figures mean, and on what they were measured."""
    config, durability = report.config, report.durability
    settings = ", ".join(f"{key} {value}" for key, value in durability.items())
    machine = ", ".join(f"{key} {value}" for key, value in report.machine.items())
    return [
        "* without the sandbox and the load generator, which stand for the outside world.",
        (
            f"Medians of {config.rounds} rounds of {config.orders} orders, {config.concurrency} at"
            f" once, after {config.warm_up} others; percentiles over the orders of all rounds."
        ),
        (
            "Latency: from the moment at which the order was due until PostgreSQL, or for the floor"
            " Temporal, recorded it as shipped."
        ),
        (
            "Transactions of PostgreSQL: all of them include the callers' polls and the start of"
            " the processes."
        ),
        (
            f"Callers poll after {POLL_SECONDS} s, then ever less often, at least every"
            f" {MAX_POLL_SECONDS:.0f} s; a side that takes longer is polled more often."
        ),
        (
            f"PostgreSQL {settings}; the same for all. Redis: appendfsync always. Temporal: the"
            " development server, on SQLite with its defaults."
        ),
        f"Machine: {machine}.",
        *(
            f"{side.title}: {side.setup} "
            + ", ".join(f"{name} {one}" for name, one in side.versions.items())
            for side in report.sides
        ),
    ]


def _repeated(report: BenchReport) -> list[Row]:
    counts = [one.repeated_requests for one in report.summaries]
    return [Row("repeated after a 503", tuple(map(str, counts)))] if any(counts) else []


def _spread(one: SideSummary) -> str:
    return f"{one.spread / 2:.0%}"


def _cpu(one: SideSummary, role: str) -> str:
    return f"{one.cpu[role]:.1f}" if role in one.cpu else _NONE


def _count(one: SideSummary, value: float) -> str:
    return f"{value:.1f}" if "PostgreSQL" in one.cpu else _NONE


def _latency(latency: Latency) -> str:
    return f"{latency.p50:.2f} / {latency.p99:.2f}"


def _optional(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1f}"
