"""Signals to the processes of a running stack, as `stack.json` names them."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from fuze_devstack.errors import StackError
from fuze_devstack.stack import Stack
from fuze_devstack.state import StackFile

_ATTEMPTS_TO_START = 4


class Processes:
    """Hits components and sees to it that they are back afterwards."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._stack = stack
        self._file = StackFile(folder)

    @property
    def names(self) -> list[str]:
        """The components that run, or should."""
        return [name for name in self._file.read() if name != "supervisor"]

    async def kill(self, name: str, away_for: float) -> str:
        """Kill a component with SIGKILL, and start it again after so many seconds."""
        self._stack.kill(name, signal.SIGKILL)
        await asyncio.sleep(away_for)
        return f"ready after {await self._start(name):.1f} s"

    async def freeze(self, name: str, seconds: float) -> None:
        """Stop a component and its children in their tracks for so many seconds."""
        self._signal_all(name, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._signal_all(name, signal.SIGCONT)

    async def drain(self, name: str) -> str:
        """Ask a component to end, and start it again."""
        return f"drained and ready after {await self._start(name):.1f} s"

    async def run_with(self, name: str, variables: Mapping[str, str], seconds: float) -> None:
        """Run a component with further variables for so many seconds, between two restarts."""
        try:
            await self._start(name, variables)
            await asyncio.sleep(seconds)
        finally:
            await self._start(name)

    async def refuse_writes(self, name: str, seconds: float) -> str:
        """Let a component and its children write to no file, as on a disk that is full.

        What it does about that is its own business: PostgreSQL gives up and has to be started.

        Raises:
            StackError: this system has no such limit, or does not let us set it.

        """
        if shutil.which("prlimit") is None:
            raise StackError("to take the disk from a running process takes prlimit, of util-linux")
        try:
            if not await self._limit_files(name, "1"):
                raise StackError(f"prlimit may not limit what {name} writes")
            await asyncio.sleep(seconds)
        finally:
            await self._limit_files(name, "unlimited")
        return await self.make_sure(name) or "outlived it"

    async def make_sure(self, name: str) -> str | None:
        """Start a component unless it runs; return what was done, if anything."""
        process = psutil.Process(self._pid(name)) if psutil.pid_exists(self._pid(name)) else None
        if process is not None and process.status() != psutil.STATUS_ZOMBIE:
            self._signal_all(name, signal.SIGCONT)
            return None
        return f"started again after {await self._start(name):.1f} s"

    async def _start(self, name: str, also: Mapping[str, str] | None = None) -> float:
        """Stop a component if it runs, and start it; return after how many seconds it was ready."""
        began = time.monotonic()
        for attempt in range(1, _ATTEMPTS_TO_START + 1):
            try:
                await self._stack.restart(name, also)
            except StackError:
                # What it needs to come up may be broken just now, too.
                if attempt == _ATTEMPTS_TO_START:
                    raise
            else:
                break
        return time.monotonic() - began

    def _pid(self, name: str) -> int:
        pid: int = self._file.read()[name]["pid"]
        return pid

    def _family(self, name: str) -> list[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            head = psutil.Process(self._pid(name))
            return [head, *head.children(recursive=True)]
        return []

    def _signal_all(self, name: str, number: signal.Signals) -> None:
        for process in self._family(name):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    async def _limit_files(self, name: str, size: str) -> bool:
        """Let a component's files grow to so many bytes; a new child has its parent's limit.

        Returns whether that holds of any process: a child may be gone by then.
        """
        are_limited = False
        for process in self._family(name):
            with suppress(psutil.NoSuchProcess):
                user = process.uids().real
                # Not even root may do that to another user's process everywhere.
                become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
                limit = ["prlimit", f"--pid={process.pid}", f"--fsize={size}:"]
                limiting = await asyncio.create_subprocess_exec(
                    *(become if os.geteuid() == 0 else []),
                    *limit,
                    stderr=asyncio.subprocess.DEVNULL,
                )
                are_limited |= await limiting.wait() == 0
        return are_limited
