"""`fuze bench`: measure Fuze beside programs that do the same work."""

import asyncio
import math
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from fuze_bench.catalog import SIDES
from fuze_bench.config import FULL, QUICK, BenchConfig
from fuze_bench.environment import RivalEnvironment
from fuze_bench.http_connection import HttpError
from fuze_bench.load import LoadError
from fuze_bench.progress_display import ProgressDisplay
from fuze_bench.report.page import render_page
from fuze_bench.report.terminal import render_tables
from fuze_bench.results import BenchReport
from fuze_bench.run import run_bench
from fuze_devstack.state import state_folder

_DELETED_AFTERWARDS = ("postgres", "temporal.db", "temporal.db-shm", "temporal.db-wal", "sandbox")


def _parse_sides(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    """Return the sides in the catalog's order."""
    chosen = {name.strip() for name in value.split(",")} if value != "all" else set(SIDES)
    if unknown := chosen.difference(SIDES):
        raise click.BadParameter(
            f"unknown side: {', '.join(map(repr, sorted(unknown)))}; use `all`, or some of: "
            f"{', '.join(SIDES)}"
        )
    return tuple(name for name in SIDES if name in chosen)


def _refuse_nan(_: click.Context, __: click.Parameter, rate: float | None) -> float | None:
    """Refuse `nan`, which passes every range check."""
    if rate is not None and math.isnan(rate):
        raise click.BadParameter("nan is not a number of orders per second")
    return rate


@click.command(
    epilog="""\b
    Sides:
      fuze    Fuze through its gateway: three workers and the gateway
      floor   a bare Temporal program of the same topology; all activities are empty
      dbos    DBOS in one process with FastAPI
      celery  Celery with Redis, and a saga over a status column
    """,
    help="""Measure Fuze beside programs that do the same work: store the order and each
    transition in PostgreSQL, wait for an approval, charge and ship over HTTP.

    A run starts PostgreSQL, Temporal and the sandbox once, on free ports. In each round every side
    starts its own processes, warms up, ships orders at a fixed concurrency (saturation), then at a
    fixed arrival rate, and stops. The figures are medians of the rounds. A full run then measures
    Fuze with 10,000 more orders in its tables, and with open ones beside them.

    A run takes about 10 minutes, a quick one about 2. Run it on a machine that does nothing else:
    other work takes cores from all sides, but not at the same moments.

    Each run has a folder in bench/ of the state directory, with bench.html to read and bench.json
    for tools. The first run installs the packages of DBOS and Celery in an environment beside it.
    """,
)
@click.option("--quick", is_flag=True, help="One short round: a first look, not a result.")
@click.option("--sides", default="all", show_default=True, callback=_parse_sides,
              help="Comma-separated sides.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(1, 100), help="Rounds of each side.  [default: 3]")
@click.option("--orders", "-n", type=click.IntRange(1, 100_000),
              help="Measured orders of each round.  [default: 250]")  # fmt: skip
@click.option("--concurrency", "-c", type=click.IntRange(1, 1000),
              help="Orders at once at saturation.  [default: 40]")  # fmt: skip
@click.option("--open-orders", type=click.IntRange(0, 100_000),
              help="Open orders beside which Fuze is measured at the end; 0 leaves that out."
              "  [default: 1000]")  # fmt: skip
@click.option("--rate", type=click.FloatRange(min=0, min_open=True, max=1000), callback=_refuse_nan,
              help="Arrivals per second, the same for all sides.  [default: half of what the first"
              " side reaches at saturation]")  # fmt: skip
@click.option("--state-dir", "state", envvar="FUZE_STATE_DIR",
              type=click.Path(path_type=Path, file_okay=False),
              help="State directory.  [default: $FUZE_STATE_DIR or .fuze]")  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep the databases of the run.")
def bench(  # noqa: PLR0913 - each is an option
    *,
    quick: bool,
    sides: tuple[str, ...],
    rounds: int | None,
    orders: int | None,
    concurrency: int | None,
    rate: float | None,
    open_orders: int | None,
    state: Path | None,
    keep: bool,
) -> None:
    """Run, print the tables, and write the files."""
    console = Console(highlight=False, soft_wrap=True)
    chosen = {"rounds": rounds, "orders": orders, "concurrency": concurrency, "rate": rate}
    chosen["open_orders"] = open_orders
    sizes: dict[str, Any] = {**(QUICK if quick else FULL)}
    sizes |= {name: value for name, value in chosen.items() if value is not None}
    sizes["warm_up"] = min(sizes["warm_up"], sizes["orders"])
    config = BenchConfig(sides=sides, **sizes)
    root = state_folder(state) / "bench"
    folder = root / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    folder.mkdir(parents=True)
    console.print(f"{', '.join(sides)}: {config.rounds} rounds; logs and results in {folder}")
    report = _run(config, folder, RivalEnvironment(root / "venv"), console)
    (folder / "bench.json").write_text(report.model_dump_json(indent=2))
    page = folder / "bench.html"
    page.write_text(render_page(report))
    for table in render_tables(report):
        console.print(table)
    console.print(f"\n{page}")
    if not keep:
        _delete_databases(folder)


def _run(
    config: BenchConfig, folder: Path, rivals: RivalEnvironment, console: Console
) -> BenchReport:
    expected = config.steps * (config.warm_up + config.orders)
    with ProgressDisplay(console, expected) as display:
        try:
            return asyncio.run(run_bench(config, folder, rivals, display.update))
        except* (LoadError, HttpError) as errors:
            raise click.ClickException(
                f"{_first(errors)}; the logs are in {folder / 'logs'}"
            ) from None


def _first(error: BaseException) -> BaseException:
    """Return the first error of a group, whose own message does not name it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _delete_databases(folder: Path) -> None:
    for name in (*_DELETED_AFTERWARDS, "redis"):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
