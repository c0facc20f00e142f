"""Process faults: signals to the processes of a running stack, and restarts."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import stamina

from fuze_devstack.errors import StackError
from fuze_devstack.stack import Stack
from fuze_devstack.state import StackFile

_START_ATTEMPTS = 4


class ProcessFaults:
    """Kills, pauses and restarts components; every component runs again when a call returns."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._file = StackFile(folder)

    @property
    def names(self) -> list[str]:
        """The components of the stack."""
        return [name for name in self._file.read() if name != "supervisor"]

    async def kill(self, name: str, downtime: float) -> str:
        """Kill a component with SIGKILL, and start it again after `downtime` seconds."""
        self._stack.kill(name, signal.SIGKILL)
        await asyncio.sleep(downtime)
        return f"ready after {await self._start(name):.1f} s"

    async def pause(self, name: str, seconds: float) -> None:
        """Stop a component and its children with SIGSTOP for so many seconds."""
        self._signal_all(name, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal_all(name, signal.SIGCONT)

    async def graceful_restart(self, name: str) -> str:
        """Stop a component with SIGTERM, and start it again."""
        return f"stopped and ready after {await self._start(name):.1f} s"

    async def run_with_environment(
        self, name: str, variables: Mapping[str, str], seconds: float
    ) -> None:
        """Run a component with further environment variables, between two restarts."""
        try:
            await self._start(name, variables)
            await asyncio.sleep(seconds)
        finally:
            await self._start(name)

    async def fail_writes(self, name: str, seconds: float) -> str:
        """Limit the file size of a component to one byte, so that writes fail as on a full disk.

        PostgreSQL stops when it cannot write its log, and has to be started again.

        Raises:
            StackError: the system has no prlimit, or denies it.

        """
        if shutil.which("prlimit") is None:
            raise StackError("disk-full needs prlimit; install util-linux")
        try:
            if not await self._limit_file_size(name, "1"):
                raise StackError(f"prlimit may not limit the file size of {name}; run as root")
            await asyncio.sleep(seconds)
        finally:
            await self._limit_file_size(name, "unlimited")
        return await self.ensure_running(name) or "kept running"

    async def ensure_running(self, name: str) -> str | None:
        """Start a component unless it runs; return a note if it was started."""
        process = psutil.Process(self._pid(name)) if psutil.pid_exists(self._pid(name)) else None
        if process is not None and process.status() != psutil.STATUS_ZOMBIE:
            self._signal_all(name, signal.SIGCONT)
            return None
        return f"restarted after {await self._start(name):.1f} s"

    async def _start(self, name: str, variables: Mapping[str, str] | None = None) -> float:
        """Stop a component if it runs, start it, and return the seconds until it was ready."""
        started = time.monotonic()
        # What it needs to start may be broken by a fault of the other lane.
        retries = stamina.retry_context(
            on=StackError, attempts=_START_ATTEMPTS, timeout=None, wait_initial=0, wait_jitter=0
        )
        async for attempt in retries:
            with attempt:
                await self._stack.restart(name, variables)
        return time.monotonic() - started

    def _pid(self, name: str) -> int:
        pid: int = self._file.read()[name]["pid"]
        return pid

    def _process_tree(self, name: str) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._pid(name))
            return [parent, *parent.children(recursive=True)]
        return []

    def _signal_all(self, name: str, number: signal.Signals) -> None:
        for process in self._process_tree(name):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    async def _limit_file_size(self, name: str, limit: str) -> bool:
        """Set RLIMIT_FSIZE of a component's processes; children inherit it.

        Returns whether it was set on at least one process: a child may have exited meanwhile.
        """
        is_limited = False
        for process in self._process_tree(name):
            with suppress(psutil.NoSuchProcess):
                user = process.uids().real
                # In some containers not even root may limit another user's process.
                as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
                prlimit = await asyncio.create_subprocess_exec(
                    *(as_user if os.geteuid() == 0 else []),
                    *("prlimit", f"--pid={process.pid}", f"--fsize={limit}:"),
                    stderr=asyncio.subprocess.DEVNULL,
                )
                is_limited |= await prlimit.wait() == 0
        return is_limited
