"""Shows the progress of a run: a bar in a terminal, a line for each phase elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


class ProgressDisplay:
    """Shows phases and shipped orders for the length of a block."""

    def __init__(self, console: Console, expected_orders: int) -> None:
        self._console = console
        self._started = time.monotonic()
        # It refreshes rarely: drawing uses the cores that are measured.
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed} orders"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            refresh_per_second=2,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=expected_orders)

    def __enter__(self) -> Self:
        """Start to show it."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self._progress.stop()

    def update(self, phase: str, shipped: int) -> None:
        """Show a phase, or the last one if it is empty, and count shipped orders."""
        if phase:
            self._progress.update(self._task, description=phase)
        self._progress.advance(self._task, shipped)
        if phase and not self._console.is_terminal:
            self._console.print(f"{time.monotonic() - self._started:6.0f} s  {phase}")
