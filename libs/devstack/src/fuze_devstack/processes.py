"""Child processes: components, which run until they are stopped, and jobs, which end."""

import asyncio
import contextlib
import ctypes
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from fuze_devstack.errors import StackError

_READY_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.1
_MAX_LOG_LINES = 15
_MAX_LINE_LENGTH = 500
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)  # loaded here: a forked child may not wait for the loader's lock


def _do_nothing() -> None:
    return


@dataclass(frozen=True, kw_only=True)
class Component:
    """One process of the stack, which listens on `port`.

    `connection_info` is in `stack.json`, beside its pid and log. `address` is what a person is
    shown. `popen_options` are further arguments of `subprocess.Popen`. `prepare` runs before each
    start, `set_up` once it is ready, `clean_up` after it was stopped.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    address: str
    port: int
    connection_info: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]]
    popen_options: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[], None] = _do_nothing
    set_up: Callable[[], None] = _do_nothing
    clean_up: Callable[[], None] = _do_nothing
    stop_signal: signal.Signals = signal.SIGTERM
    # Longer than the shutdown timeout of a worker, which is 30 s.
    stop_timeout: float = 40.0


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command of a service that ends by itself, such as a migration."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


class ManagedProcess:
    """The process of a component. It is restarted on request only, by `start`."""

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
        """The id of the process, or of the last one when none runs.

        Raises:
            StackError: the component was never started.

        """
        if self._process is None:
            raise StackError(f"{self.name} was never started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process runs, ready or not."""
        return self._process is not None and self._process.returncode is None

    async def start(self, extra_environment: Mapping[str, str] | None = None) -> None:
        """Start the process, and wait until it is ready.

        Raises:
            StackError: it exited, or was not ready in time; the message ends with its log.

        """
        await asyncio.to_thread(self.component.prepare)
        self._stopping = False
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # In a session of its own: Ctrl-C goes to the supervisor, which stops them in order.
            # From the main thread: the death signal is sent when the thread ends that forked.
            self._process = await asyncio.create_subprocess_exec(
                *self.component.command,
                env={**self.component.environment, **(extra_environment or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(die_with_parent, self.component.stop_signal),
                **self.component.popen_options,
            )
        deadline = time.monotonic() + _READY_TIMEOUT_SECONDS
        while not (self._listens() and await self.component.is_ready()):
            if not self.is_running:
                raise StackError(f"{self.name} exited during its start:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                raise StackError(
                    f"{self.name} was not ready within {_READY_TIMEOUT_SECONDS:.0f} s:\n"
                    f"{self.last_lines()}"
                )
            await asyncio.sleep(_POLL_SECONDS)
        await asyncio.to_thread(self.component.set_up)

    def _listens(self) -> bool:
        """Whether the process has its port: another's answer there does not make it ready."""
        try:
            sockets = psutil.Process(self.pid).net_connections(kind="tcp")
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True  # not to be known on this system
        return any(
            one.status == psutil.CONN_LISTEN and one.laddr.port == self.component.port
            for one in sockets
        )

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
        """Send a signal, if the process runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def wait_unexpected_exit(self) -> int | None:
        """Wait until the process exits; return its exit code, or None when `stop` ended it."""
        if self._process is None:
            return None
        code = await self._process.wait()
        return None if self._stopping else code

    def last_lines(self) -> str:
        """Return the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-_MAX_LOG_LINES:]
        shown = [f"  {line[:_MAX_LINE_LENGTH]}" for line in lines]
        return "\n".join([*shown, f"  (the whole log: {self.log})"])


async def run_job(job: Job) -> tuple[int, str]:
    """Run a job, and return its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        *job.command,
        env=dict(job.environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=die_with_parent,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, output.decode(errors="replace")


def die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """Receive this signal when our parent is killed, so that no process is left; Linux only."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)


def end_orphans(folder: Path, name: str, number: signal.Signals, *, kill_after: float) -> None:
    """End the processes that a killed supervisor left: those of this name that run in `folder`.

    They receive a signal, and are killed `kill_after` seconds later.
    """
    resolved = str(folder.resolve())
    orphans = [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == name and process.info["cwd"] == resolved
    ]
    for orphan in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.send_signal(number)
    _, alive = psutil.wait_procs(orphans, timeout=kill_after)
    for orphan in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.kill()
    psutil.wait_procs(alive)
