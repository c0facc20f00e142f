"""Shows a run while it goes on: a bar on a terminal, a line every so often elsewhere."""

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fuze_chaos.run import Watch

_LOOKS_EVERY_SECONDS = 0.25
_LINE_EVERY_SECONDS = 10.0


class Watcher:
    """Shows what `watch` says, for the length of a block."""

    def __init__(self, console: Console, watch: Watch, orders: int) -> None:
        self._console = console
        self._watch = watch
        self._orders = orders
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> None:
        """Begin to show."""
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Show no more."""
        self._over.set()
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
        with Progress(*columns, console=self._console, transient=True) as progress:
            task = progress.add_task("", total=self._orders)
            while not self._over.wait(_LOOKS_EVERY_SECONDS):
                progress.update(task, completed=self._watch.played, description=self._doing())

    def _print_lines(self) -> None:
        began = time.monotonic()
        while not self._over.wait(_LINE_EVERY_SECONDS):
            self._console.print(
                f"{time.monotonic() - began:6.0f} s  {self._watch.played}/{self._orders} orders,"
                f" {len(self._watch.struck)} faults  {self._doing()}"
            )

    def _doing(self) -> str:
        faults = ", ".join(fault for fault in self._watch.now.values() if fault)
        return f"{self._watch.phase}: {faults}" if faults else self._watch.phase
