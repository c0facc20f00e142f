"""What reaches a workflow while it runs a local step waits until the step has ended.

Imported by workflow code: nothing here may touch a clock, a socket or a library that does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from temporalio import workflow

Result = TypeVar("Result")


class StepGate:
    """Holds back what reaches a workflow while it runs a local step (ADR 3).

    A local step may be in the history before its workflow knows of it: a query that came with the
    same workflow task was answered meanwhile. A message that follows is in the next workflow task,
    together with the step's outcome, and the workflow gets the message first. A replay gets the
    outcome first. Behind the gate both see the outcome first, and issue the same commands.

    An update cannot wait: its acceptance is a command, too. Its validator rejects it while
    `is_open` is false.
    """

    def __init__(self) -> None:
        self._running_steps = 0
        self._held: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Whether no local step runs."""
        return not self._running_steps

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Close the gate while the block, a local step, runs."""
        self._running_steps += 1
        try:
            yield
        finally:
            self._running_steps -= 1

    async def pass_through(self) -> None:
        """Return when the gate is open: at once, or once the workflow waits for something else."""
        if not self.is_open:
            await workflow.wait_condition(lambda: self.is_open)

    async def hold_back(self, outcome: Awaitable[Result]) -> Result:
        """Return an outcome, or raise its error, once the gate is open."""
        try:
            return await outcome
        finally:
            await self.pass_through()

    def call(self, callback: Callable[[], None]) -> None:
        """Call back now, or once the gate is open."""
        if self.is_open:
            callback()
            return
        held = asyncio.ensure_future(self._call_later(callback))
        self._held.add(held)
        held.add_done_callback(self._held.discard)

    async def _call_later(self, callback: Callable[[], None]) -> None:
        await self.pass_through()
        callback()
