"""`fuze chaos`: play orders under faults, then check every invariant."""

import asyncio
import contextlib
import math
import secrets
import shutil
import signal
import traceback
from datetime import datetime
from pathlib import Path

import click
import stamina.instrumentation
from rich.console import Console

from fuze_chaos.checker.results import Verdict
from fuze_chaos.defects.defect import VARIABLE, Defect
from fuze_chaos.faults import clock_skew
from fuze_chaos.faults.catalog import FAULT_KINDS, FAULT_NAMES
from fuze_chaos.progress_display import ProgressDisplay
from fuze_chaos.report.html_report import render_html
from fuze_chaos.report.report import Report
from fuze_chaos.report.terminal import render_summary
from fuze_chaos.run import Run, RunConfig, RunProgress
from fuze_devstack.state import state_folder

_EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 3}
_DELETED_AFTER_PASS = ("postgres", "temporal.db", "temporal.db-shm", "temporal.db-wal", "sandbox")
_FAULT_HELP = "\n".join(f"  {kind.name:<22} {kind.description}" for kind in FAULT_KINDS)


class _RunAbortedError(click.ClickException):
    """An aborted run has no verdict: its exit code is that of unknown, not of a violation."""

    exit_code = _EXIT_CODES[Verdict.UNKNOWN]


def _refuse_nan(_: click.Context, __: click.Parameter, rate: float | None) -> float | None:
    """Refuse `nan`, which passes every range check."""
    if rate is not None and math.isnan(rate):
        raise click.BadParameter("nan is not a number of orders per second")
    return rate


def _parse_defects(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> list[Defect]:
    """Refuse two defects of one service, which starts with one of them."""
    defects = [Defect(name) for name in names]
    if len({one.service for one in defects}) < len(defects):
        raise click.BadParameter("a service can have one defect; choose defects of other services")
    return defects


@click.command(
    epilog="\b\nFaults:\n" + _FAULT_HELP,
    help="""Play orders against a separate stack while its processes, network and external
    providers fail, then check the invariants in every system of record.

    Exit codes: 0 if all invariants hold, 1 if one is violated, 3 if a system could not be read
    or the run was aborted. Each run has a folder in chaos/ of the state directory, with
    report.html to read and report.json for tools. An aborted run has no report.""",
)
@click.option("--orders", "-n", type=click.IntRange(1, 1_000_000), default=500, show_default=True,
              help="Number of orders.")  # fmt: skip
@click.option("--seed", "-s", type=int, help="The same seed gives the same orders and faults.  "
              "[default: random, and printed]")  # fmt: skip
@click.option("--faults", "-f", default="all", show_default=True,
              help="Comma-separated kinds; `none` for a workload without faults.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(min=0, min_open=True, max=1000), callback=_refuse_nan,
              help="Orders per second.  [default: depends on the faults, at most 3]")  # fmt: skip
@click.option("--state-dir", "state", envvar="FUZE_STATE_DIR",
              type=click.Path(path_type=Path, file_okay=False),
              help="State directory.  [default: $FUZE_STATE_DIR or .fuze]")  # fmt: skip
@click.option("--inject-defect", "defects", type=click.Choice([one.value for one in Defect]),
              multiple=True, envvar=VARIABLE, callback=_parse_defects,
              help="Inject a bug on purpose, at most one for each service; the run has to fail."
              )  # fmt: skip
@click.option("--track-delivery", is_flag=True,
              help="Track parcels: some are delivered, some are returned.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep the databases of a run that passed.")
def chaos(  # noqa: PLR0913 - each is an option
    orders: int,
    seed: int | None,
    faults: str,
    rate: float | None,
    state: Path | None,
    *,
    defects: list[Defect],
    track_delivery: bool,
    keep: bool,
) -> None:
    """Run, write the report, and exit with the verdict."""
    console = Console(highlight=False, soft_wrap=True)
    # Retries are the normal case here; stamina logs each of them by default.
    stamina.instrumentation.set_on_retry_hooks([])
    chosen_seed = secrets.randbelow(2**31) if seed is None else seed
    config = RunConfig(
        seed=chosen_seed,
        orders=orders,
        kinds=_parse_kinds(faults, console),
        rate=rate,
        track_delivery=track_delivery,
        defects=tuple(defects),
    )
    folder = _create_folder(state_folder(state), chosen_seed)
    console.print(f"seed {chosen_seed}, {orders} orders; logs and report in {folder}")
    report = _run_to_report(config, folder, console)
    (folder / "report.json").write_text(report.model_dump_json(indent=2))
    page = folder / "report.html"
    page.write_text(render_html(report))
    console.print(render_summary(report, page))
    if report.verdict is Verdict.PASS and not keep:
        _delete_databases(folder)
    raise SystemExit(_EXIT_CODES[report.verdict])


def _create_folder(state: Path, seed: int) -> Path:
    now = datetime.now().astimezone()
    folder = state / "chaos" / f"{now:%Y%m%d-%H%M%S}-seed-{seed}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise _RunAbortedError(f"cannot create a folder for the run: {error}") from None
    return folder


def _run_to_report(config: RunConfig, folder: Path, console: Console) -> Report:
    try:
        return asyncio.run(_run(config, folder, console))
    except _RunAbortedError:
        raise
    except Exception as error:  # noqa: BLE001 - after any error there is no verdict
        file = folder / "error.txt"
        file.write_text(traceback.format_exc())
        raise _RunAbortedError(f"the run was aborted: {_cause(error)}\nsee {file}") from None


def _cause(error: BaseException) -> BaseException:
    """Return the first error of a group, whose own message does not name it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run(config: RunConfig, folder: Path, console: Console) -> Report:
    progress = RunProgress()
    run = Run(config, folder, progress)
    running = asyncio.ensure_future(run())
    loop = asyncio.get_running_loop()
    is_stopping = False

    def stop() -> None:
        nonlocal is_stopping
        # Only once: a second cancellation would interrupt the cleanup.
        if not is_stopping:
            is_stopping = True
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    with ProgressDisplay(console, progress, config.orders):
        try:
            return await running
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError):
                await running
            raise _RunAbortedError(
                f"interrupted, there is no verdict; logs are in {folder}"
            ) from None


def _parse_kinds(faults: str, console: Console) -> frozenset[str]:
    """Return the requested kinds that this machine supports."""
    if faults == "none":
        return frozenset()
    kinds = frozenset(FAULT_NAMES if faults == "all" else map(str.strip, faults.split(",")))
    if unknown := kinds.difference(FAULT_NAMES):
        raise click.BadParameter(
            f"unknown kind: {', '.join(map(repr, sorted(unknown)))}; use `all`, `none`, or some "
            f"of: {', '.join(FAULT_NAMES)}",
            param_hint="--faults",
        )
    if "clock-skew" in kinds and not clock_skew.is_supported():
        needs = "it needs libfaketime (pip install libfaketime)"
        if kinds == {"clock-skew"}:
            raise click.BadParameter(f"clock-skew is not available: {needs}", param_hint="--faults")
        console.print(f"skipping clock-skew: {needs}")
        return kinds - {"clock-skew"}
    return kinds


def _delete_databases(folder: Path) -> None:
    for name in _DELETED_AFTER_PASS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
