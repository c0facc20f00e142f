"""A whole run: servers of its own, the sides in alternating rounds, and the report."""

import os
import platform
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from fuze_bench.catalog import SIDES
from fuze_bench.config import BenchConfig
from fuze_bench.environment import RivalEnvironment, own_versions
from fuze_bench.growth import measure_growth
from fuze_bench.infrastructure import Infrastructure, run_infrastructure
from fuze_bench.postgres_stats import PostgresStats
from fuze_bench.results import BenchReport, Growth, SideInfo, SideRound, compare, summarize
from fuze_bench.round import OnProgress, RoundRunner
from fuze_bench.side import SOURCE, Side


async def run_bench(
    config: BenchConfig, folder: Path, rivals: RivalEnvironment, on_progress: OnProgress
) -> BenchReport:
    """Run everything in `folder`, which belongs to the run alone, and return the report.

    Raises:
        LoadError: an order was not shipped.
        StackError: a process does not start.

    """
    started_at, started = datetime.now(UTC), time.monotonic()
    sides = [SIDES[name] for name in config.sides]
    if any(side.needs_rival_packages for side in sides) and not rivals.is_current:
        on_progress("installing DBOS and Celery, the first time only", 0)
        rivals.make()
    described = [_describe(side, rivals) for side in sides]
    on_progress("starting PostgreSQL, Temporal and the sandbox", 0)
    async with run_infrastructure(folder) as infrastructure:
        await _create_tables(infrastructure, sides)
        durability = await PostgresStats(infrastructure.postgres).settings()
        runner = RoundRunner(infrastructure, config, rivals.folder, on_progress)
        rounds = [
            await runner.run(SIDES[name], number)
            for number in range(config.rounds)
            for name in config.order_of(number)
        ]
        growth = None
        if config.open_orders and "fuze" in config.sides:
            growth = await measure_growth(infrastructure, config, on_progress)
        on_progress("stopping", 0)
    return build_report(
        config,
        rounds,
        sides=described,
        durability=durability,
        started_at=started_at,
        seconds=time.monotonic() - started,
        growth=growth,
    )


def build_report(  # noqa: PLR0913 - the parts of a report
    config: BenchConfig,
    rounds: Iterable[SideRound],
    *,
    sides: Iterable[SideInfo],
    durability: dict[str, str],
    started_at: datetime,
    seconds: float,
    growth: Growth | None = None,
) -> BenchReport:
    """Return the report over these rounds."""
    measured = tuple(rounds)
    summaries = {
        name: summarize(name, [one for one in measured if one.side == name])
        for name in config.sides
    }
    return BenchReport(
        started_at=started_at,
        seconds=seconds,
        machine=_describe_machine(),
        durability=durability,
        config=config,
        sides=tuple(sides),
        rounds=measured,
        summaries=tuple(summaries.values()),
        ratios=compare(summaries),
        growth=growth,
    )


async def _create_tables(infrastructure: Infrastructure, sides: Iterable[Side]) -> None:
    tables = (SOURCE / "fuze_bench/sides/tables.sql").read_text()
    for schema in filter(None, (side.schema for side in sides)):
        await infrastructure.postgres.execute(
            f"CREATE SCHEMA {schema}; SET search_path = {schema}; {tables}; RESET search_path"
        )


def _describe(side: Side, rivals: RivalEnvironment) -> SideInfo:
    if side.needs_rival_packages:
        installed = rivals.versions()
        # The Redis server is one of the packages for some Pythons only.
        versions = {name: installed[name] for name in side.packages if name in installed}
    else:
        versions = own_versions(side.packages)
    return SideInfo(
        name=side.name,
        title=side.title,
        setup=side.setup,
        versions=versions,
        limits=side.limits,
    )


def _describe_machine() -> dict[str, str]:
    load = os.getloadavg()[0]
    return {
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load average at the end": f"{load:.1f}",
    }
