"""Shows the progress of a run: a bar in a terminal, a line every 10 s elsewhere."""

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fuze_chaos.run import RunProgress

_REFRESH_SECONDS = 0.25
_LINE_SECONDS = 10.0


class ProgressDisplay:
    """Shows `progress` for the length of a block."""

    def __init__(self, console: Console, progress: RunProgress, orders: int) -> None:
        self._console = console
        self._progress = progress
        self._orders = orders
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> None:
        """Start to show it."""
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._stopped.set()
        self._thread.join()

    def _show(self) -> None:
        if self._console.is_terminal:
            self._show_bar()
        else:
            self._print_lines()

    def _show_bar(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task("", total=self._orders)
            while not self._stopped.wait(_REFRESH_SECONDS):
                bar.update(
                    task, completed=self._progress.finished_orders, description=self._describe()
                )

    def _print_lines(self) -> None:
        started = time.monotonic()
        while not self._stopped.wait(_LINE_SECONDS):
            progress = self._progress
            self._console.print(
                f"{time.monotonic() - started:6.0f} s  {progress.finished_orders}/{self._orders}"
                f" orders, {len(progress.faults)} faults  {self._describe()}"
            )

    def _describe(self) -> str:
        faults = ", ".join(fault for fault in self._progress.active_faults.values() if fault)
        return f"{self._progress.phase}: {faults}" if faults else self._progress.phase
