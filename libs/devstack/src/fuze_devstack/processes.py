"""One process of the stack: started, waited for, signalled, stopped."""

import asyncio
import contextlib
import ctypes
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from fuze_devstack.errors import StackError
from fuze_devstack.topology import Component

_READY_WITHIN_SECONDS = 60.0
_POLL_SECONDS = 0.1
_LAST_LINES = 15
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here: a forked child may not wait for the loader's lock


class ManagedProcess:
    """A component's process, or its absence. Nothing starts it again but `start`."""

    def __init__(self, component: Component, logs: Path) -> None:
        self.component = component
        self.log = logs / f"{component.name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def name(self) -> str:
        """The component's name."""
        return self.component.name

    @property
    def pid(self) -> int:
        """The process's id; of the last one while none runs.

        Raises:
            StackError: it was never started.

        """
        if self._process is None:
            raise StackError(f"{self.name} was never started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there, ready or not."""
        return self._process is not None and self._process.returncode is None

    async def start(self, also: Mapping[str, str] | None = None) -> None:
        """Start it, with further variables if there are any, and wait until it is ready.

        Raises:
            StackError: it ended, or was not ready in time; the message has the end of its log.

        """
        await asyncio.to_thread(self.component.prepare)
        self._stopping = False
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # In a session of its own: Ctrl-C is for the supervisor, which stops things in order.
            # The call is made by the main thread, whose end is what the death signal means.
            self._process = await asyncio.create_subprocess_exec(
                *self.component.command,
                env={**self.component.environment, **(also or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, self.component.stop_signal),
                **self.component.popen_options,
            )
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        while not await self.component.is_ready():
            if not self.is_running:
                raise StackError(f"{self.name} ended as it started:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} was not ready within {_READY_WITHIN_SECONDS:.0f} s:\n"
                    f"{self.last_lines()}"
                )
            await asyncio.sleep(_POLL_SECONDS)
        await asyncio.to_thread(self.component.set_up)

    async def stop(self) -> None:
        """Send its stop signal and wait; kill it when its stop timeout is over."""
        if self._process is not None and self._process.returncode is None:
            self._stopping = True
            self.signal(self.component.stop_signal)
            try:
                async with asyncio.timeout(self.component.stop_timeout):
                    await self._process.wait()
            except TimeoutError:
                self.signal(signal.SIGKILL)
                await self._process.wait()
        await asyncio.to_thread(self.component.clean_up)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is there."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def wait_unexpected_exit(self) -> int | None:
        """Return its exit code once it has ended, or None where `stop` ended it."""
        if self._process is None:
            return None
        code = await self._process.wait()
        return None if self._stopping else code

    def last_lines(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        return "\n".join(f"  {line}" for line in lines) + f"\n  (all of it: {self.log})"


async def run_to_end(command: Sequence[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run a command that ends, and return its exit code and everything that it said."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=die_with_parent,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, said.decode(errors="replace")


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Receive this signal when our parent is killed, so that no process is left; Linux only."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)
