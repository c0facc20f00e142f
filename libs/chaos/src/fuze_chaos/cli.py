"""`fuze chaos`: thousands of orders under faults, and then every book compared."""

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
from rich.console import Console

from fuze_chaos import clock
from fuze_chaos.console import summary
from fuze_chaos.defects import VARIABLE, Defect
from fuze_chaos.outcome import Report, Verdict
from fuze_chaos.page import render
from fuze_chaos.plan import FAULTS, KINDS
from fuze_chaos.run import Run, Wanted, Watch
from fuze_chaos.watching import Watcher
from fuze_devstack.state import state_folder

_EXIT_CODES = {Verdict.PASS: 0, Verdict.FAIL: 1, Verdict.UNKNOWN: 3}
_MADE_AGAIN = ("postgres", "temporal.db", "temporal.db-shm", "temporal.db-wal", "sandbox")
_HELP_OF_FAULTS = "\n".join(f"  {fault.kind:<18} {fault.does}" for fault in FAULTS)


class _NoVerdictError(click.ClickException):
    """A run that broke off says nothing of the invariants: that is unknown, and no violation."""

    exit_code = _EXIT_CODES[Verdict.UNKNOWN]


def _a_number(_: click.Context, __: click.Parameter, rate: float | None) -> float | None:
    """Refuse `nan`, which compares with no bound."""
    if rate is not None and math.isnan(rate):
        raise click.BadParameter("nan is not a number of orders a second")
    return rate


@click.command(
    epilog="\b\nFaults:\n" + _HELP_OF_FAULTS,
    help="""Play orders through a stack of its own while its processes, links and outsiders
    fail, then compare every book.

    Exits 0 when all invariants hold, 1 when one does not, 3 when a book could not be read or
    the run broke off. Each run has a folder in chaos/ of the state folder; its report is there:
    report.html to read, report.json for tools. A run that broke off has none.""",
)
@click.option("--orders", "-n", type=click.IntRange(1, 1_000_000), default=500, show_default=True)
@click.option("--seed", "-s", type=int, help="The same seed: the same orders, the same faults.  "
              "[default: drawn, and printed]")  # fmt: skip
@click.option("--faults", "-f", default="all", show_default=True,
              help="Kinds, with commas between; `none` is a load without faults.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(min=0, min_open=True, max=1000), callback=_a_number,
              help="Orders a second.  [default: what the faults leave, at most 3]")  # fmt: skip
@click.option("--state-dir", "state", envvar="FUZE_STATE_DIR",
              type=click.Path(path_type=Path, file_okay=False),
              help="Runs are kept in its chaos/.  [default: $FUZE_STATE_DIR or .fuze]")  # fmt: skip
@click.option("--defect", type=click.Choice([one.value for one in Defect]), envvar=VARIABLE,
              help="Plant a defect on purpose: the run has to fail.")  # fmt: skip
@click.option("--follow", is_flag=True,
              help="Orders follow their parcels: some arrive, some come back.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep the databases of a run that passed, too.")
def chaos(  # noqa: PLR0913 - each is an option
    orders: int,
    seed: int | None,
    faults: str,
    rate: float | None,
    state: Path | None,
    *,
    defect: str | None,
    follow: bool,
    keep: bool,
) -> None:
    """Run, report, exit with the verdict."""
    console = Console(highlight=False, soft_wrap=True)
    chosen = secrets.randbelow(2**31) if seed is None else seed
    wanted = Wanted(
        seed=chosen,
        orders=orders,
        kinds=_kinds(faults, console),
        rate=rate,
        follow=follow,
        defect=Defect(defect) if defect else None,
    )
    began = datetime.now().astimezone()
    folder = state_folder(state) / "chaos" / f"{began:%Y%m%d-%H%M%S}-seed-{chosen}"
    try:
        folder.mkdir(parents=True)
        folder.chmod(0o711)  # PostgreSQL's own user passes through
    except OSError as error:
        raise _NoVerdictError(f"a run needs a folder of its own: {error}") from None
    console.print(f"seed {chosen}, {orders} orders; all of it in {folder}")
    report = _report(wanted, folder, console)
    (folder / "report.json").write_text(report.model_dump_json(indent=2))
    page = folder / "report.html"
    page.write_text(render(report))
    console.print(summary(report, page))
    if report.verdict is Verdict.PASS and not keep:
        _drop_databases(folder)
    raise SystemExit(_EXIT_CODES[report.verdict])


def _report(wanted: Wanted, folder: Path, console: Console) -> Report:
    try:
        return asyncio.run(_run(wanted, folder, console))
    except click.ClickException:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, there is no verdict
        where = folder / "broke-off.txt"
        where.write_text(traceback.format_exc())
        raise _NoVerdictError(f"the run broke off: {_cause(error)}\nwhere: {where}") from None


def _cause(error: BaseException) -> BaseException:
    """Return what a task group's error is about, which its own words do not say."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run(wanted: Wanted, folder: Path, console: Console) -> Report:
    watch = Watch()
    run = Run(wanted, folder, watch, announce=lambda *_: None)
    running = asyncio.ensure_future(run())
    loop = asyncio.get_running_loop()
    is_told = False

    def stop() -> None:
        nonlocal is_told
        # Once: cancelled again, it would leave what it is about to stop.
        if not is_told:
            is_told = True
            running.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    with Watcher(console, watch, wanted.orders):
        try:
            return await running
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError):
                await running
            raise _NoVerdictError(
                f"interrupted: there is no verdict; what there is, is in {folder}"
            ) from None


def _kinds(chosen: str, console: Console) -> frozenset[str]:
    """Return the kinds that are wanted and can be had here."""
    if chosen == "none":
        return frozenset()
    wanted = frozenset(KINDS if chosen == "all" else map(str.strip, chosen.split(",")))
    if unknown := wanted.difference(KINDS):
        raise click.BadParameter(
            f"no such kind: {', '.join(map(repr, sorted(unknown)))}; `all`, `none`, or of these: "
            f"{', '.join(KINDS)}",
            param_hint="--faults",
        )
    if "clock" in wanted and not clock.can_be_wrong():
        lacks = "it takes libfaketime (pip install libfaketime)"
        if wanted == {"clock"}:
            raise click.BadParameter(f"no `clock` here: {lacks}", param_hint="--faults")
        console.print(f"without `clock`: {lacks}")
        return wanted - {"clock"}
    return wanted


def _drop_databases(folder: Path) -> None:
    for name in _MADE_AGAIN:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
