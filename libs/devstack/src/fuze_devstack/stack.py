"""A whole stack: started in order, supervised, and stopped in reverse order."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fuze_devstack.control import ControlServer
from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.processes import Component, Job, ManagedProcess, run_job
from fuze_devstack.services import MIGRATED_SERVICES
from fuze_devstack.state import FolderLock, StackFile, control_socket, make_state_folder
from fuze_devstack.topology import DEFAULT_OPTIONS, StackDefinition, StackOptions

ProgressCallback = Callable[[str, str, str], None]
"""Receives a component's name, its new state, and its address or what to do."""

_ORPHAN_TIMEOUT_SECONDS = 30.0


class Stack:
    """PostgreSQL, Temporal, the sandbox and the services, with one state folder.

    A component that exits is reported, and stays down until it is restarted on request.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        *,
        on_progress: ProgressCallback,
        options: StackOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._folder = folder.absolute()
        make_state_folder(self._folder)
        self._ports = ports
        self._on_progress = on_progress
        self._file = StackFile(self._folder)
        self._lock = FolderLock(self._folder)
        self._changing: dict[str, asyncio.Lock] = {}
        self._processes: dict[str, ManagedProcess] = {}
        self._watches: set[asyncio.Task[None]] = set()
        self._options = options
        self.api_key: str | None = None
        self._control = ControlServer(control_socket(self._folder), self)

    @property
    def stop_requested(self) -> asyncio.Event:
        """Set when another process requests the stop; the owner of the stack then calls `stop`."""
        return self._control.stop_requested

    async def start(self) -> None:
        """Start everything; on return `stack.json` is written and orders are processed.

        Raises:
            StackError: a stack runs in the folder, a port is in use, or a component does not start.

        """
        self._lock.acquire()
        self._file.remove()  # left by a killed supervisor
        await self._require_free_ports()
        definition = StackDefinition(self._folder, self._ports, self._options)
        await self._start_all(definition.infrastructure())
        await self._migrate(definition.migrations())
        await self._start_all(definition.services())
        if self._options.auth:
            self.api_key = (await self._run(definition.key())).strip()
        await self._control.open()
        self._write_file()

    async def stop(self) -> None:
        """Stop every component that was started, in reverse order."""
        if not self._lock.is_acquired:
            return  # the folder and its stack.json belong to another stack
        await self._control.close()
        for watch in self._watches:
            watch.cancel()
        self._file.remove()
        remaining = list(reversed(self._processes.values()))
        # First the services, together, which drain; then the infrastructure.
        services = [p for p in remaining if p.name not in {"postgres", "temporal", "sandbox"}]
        for group in (services, [p for p in remaining if p not in services]):
            await asyncio.gather(*(process.stop() for process in group))
        self._lock.release()

    async def restart(self, name: str, extra_environment: Mapping[str, str] | None = None) -> None:
        """Stop a component if it runs, and start it; the extra variables are for this start only.

        Raises:
            StackError: the component does not exist, or does not start.

        """
        process = self._find(name)
        async with self._changing.setdefault(name, asyncio.Lock()):
            await process.stop()
            await self._start(process, extra_environment)
            self._write_file()

    def kill(self, name: str, number: signal.Signals) -> None:
        """Send a component a signal.

        Raises:
            StackError: the component does not exist, or does not run.

        """
        process = self._find(name)
        if not process.is_running:
            raise StackError(f"{name} does not run; start it: fuze restart {name}")
        process.signal(number)

    async def _require_free_ports(self) -> None:
        deadline = time.monotonic() + (_ORPHAN_TIMEOUT_SECONDS if self._lock.is_stale else 0)
        while taken := self._ports.taken():
            if time.monotonic() > deadline:
                listed = ", ".join(f"{port} ({name})" for name, port in taken.items())
                options = " ".join(f"--{name}-port" for name in taken)
                raise StackError(
                    f"port in use: {listed}; choose others with {options}, "
                    "or use free ports: --ports auto"
                )
            await asyncio.sleep(0.2)  # orphans of a killed supervisor are exiting

    def _find(self, name: str) -> ManagedProcess:
        if name not in self._processes:
            raise StackError(
                f"there is no component {name}; choose one of: {', '.join(self._processes)}"
            )
        return self._processes[name]

    async def _start_all(self, components: Iterable[Component]) -> None:
        processes = [ManagedProcess(one, self._folder / "logs") for one in components]
        self._processes |= {process.name: process for process in processes}
        await asyncio.gather(*(self._start(process) for process in processes))

    async def _start(
        self, process: ManagedProcess, extra_environment: Mapping[str, str] | None = None
    ) -> None:
        started_at = time.monotonic()
        await process.start(extra_environment)
        seconds = time.monotonic() - started_at
        self._on_progress(process.name, f"ready in {seconds:.1f} s", process.component.address)
        watch = asyncio.create_task(self._watch(process))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _watch(self, process: ManagedProcess) -> None:
        code = await process.wait_unexpected_exit()
        if code is not None:
            state = f"exited with code {code}"
            self._on_progress(process.name, state, f"restart it: fuze restart {process.name}")

    async def _run(self, job: Job) -> str:
        code, output = await run_job(job)
        if code:
            raise StackError(f"{job.name}: {' '.join(job.command[1:4])} failed:\n{output}")
        return output

    async def _migrate(self, migrations: Job) -> None:
        started_at = time.monotonic()
        await self._run(migrations)
        seconds = time.monotonic() - started_at
        schemas = ", ".join(str(service.schema) for service in MIGRATED_SERVICES)
        self._on_progress("migrations", f"done in {seconds:.1f} s", schemas)

    def _write_file(self) -> None:
        content = {
            process.name: {
                **process.component.connection_info,
                "pid": process.pid,
                "log": str(process.log),
            }
            for process in self._processes.values()
        }
        if self.api_key:
            content["gateway"]["api_key"] = self.api_key
        supervisor = {"pid": os.getpid(), "control": str(self._control.path)}
        self._file.write({**content, "supervisor": supervisor})
