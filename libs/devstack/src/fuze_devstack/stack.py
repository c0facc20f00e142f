"""A whole stack: started in order, watched, changed on request, stopped in reverse."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from fuze_devstack.control import ControlServer
from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.processes import ManagedProcess, run_to_end
from fuze_devstack.state import FolderLock, StackFile, control_socket, make_state_folder
from fuze_devstack.topology import DEFAULT_OPTIONS, Component, Job, StackDefinition, StackOptions

Announce = Callable[[str, str, str], None]
"""Hears of each component's name, what has become of it, and where it is."""

_ORPHANS_END_WITHIN_SECONDS = 30.0


class Stack:
    """PostgreSQL, Temporal, the sandbox and the four services over one state folder.

    A component that ends by itself is announced, and stays down until someone restarts it.
    """

    def __init__(
        self,
        folder: Path,
        ports: Ports,
        *,
        announce: Announce,
        options: StackOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._folder = folder.absolute()
        make_state_folder(self._folder)
        self._ports = ports
        self._announce = announce
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
        """Set when another process asks the stack to stop; whoever runs it does so."""
        return self._control.stop_requested

    async def start(self) -> None:
        """Start everything; once this returns, `stack.json` is there and orders flow.

        Raises:
            StackError: a stack runs here already, a port is taken, or a component does not start.

        """
        self._lock.take()
        self._file.remove()  # what a killed supervisor left
        await self._refuse_taken_ports()
        blueprint = StackDefinition(self._folder, self._ports, self._options)
        await self._start_all(blueprint.infrastructure())
        await self._migrate(blueprint.migrations())
        await self._start_all(blueprint.services())
        if self._options.auth:
            self.api_key = (await self._run(blueprint.key())).strip()
        await self._control.open()
        self._write_file()

    async def stop(self) -> None:
        """Stop everything, whatever has started, in reverse order."""
        if not self._lock.is_ours:
            return  # the folder is another stack's, and so is its file
        await self._control.close()
        for watch in self._watches:
            watch.cancel()
        self._file.remove()
        remaining = list(reversed(self._processes.values()))
        # The services first and together: they drain; then what they stand on.
        services = [p for p in remaining if p.name not in {"postgres", "temporal", "sandbox"}]
        for together in (services, [p for p in remaining if p not in services]):
            await asyncio.gather(*(process.stop() for process in together))
        self._lock.give_back()

    async def restart(self, name: str, also: Mapping[str, str] | None = None) -> None:
        """Stop a component if it runs, and start it, this once with further variables.

        Raises:
            StackError: there is no such component, or it does not start.

        """
        process = self._find(name)
        async with self._changing.setdefault(name, asyncio.Lock()):
            await process.stop()
            await self._start(process, also)
            self._write_file()

    def kill(self, name: str, number: signal.Signals) -> None:
        """Send a component a signal.

        Raises:
            StackError: there is no such component, or it does not run.

        """
        process = self._find(name)
        if not process.is_running:
            raise StackError(f"{name} does not run; start it: fuze restart {name}")
        process.signal(number)

    async def _refuse_taken_ports(self) -> None:
        deadline = time.monotonic() + (_ORPHANS_END_WITHIN_SECONDS if self._lock.is_stale else 0)
        while taken := self._ports.taken():
            if time.monotonic() > deadline:
                listed = ", ".join(f"{port} ({name})" for name, port in taken.items())
                options = " ".join(f"--{name}-port" for name in taken)
                raise StackError(
                    f"taken by somebody else: port {listed}; choose others with {options}, "
                    "or let them be found: --ports auto"
                )
            await asyncio.sleep(0.2)  # what a killed supervisor left behind is still ending

    def _find(self, name: str) -> ManagedProcess:
        if name not in self._processes:
            raise StackError(f"no component {name}; there are: {', '.join(self._processes)}")
        return self._processes[name]

    async def _start_all(self, components: Iterable[Component]) -> None:
        processes = [ManagedProcess(one, self._folder / "logs") for one in components]
        self._processes |= {process.name: process for process in processes}
        await asyncio.gather(*(self._start(process) for process in processes))

    async def _start(self, process: ManagedProcess, also: Mapping[str, str] | None = None) -> None:
        began = time.monotonic()
        await process.start(also)
        took = time.monotonic() - began
        self._announce(process.name, f"ready in {took:.1f} s", process.component.address)
        watch = asyncio.create_task(self._watch(process))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)

    async def _watch(self, process: ManagedProcess) -> None:
        code = await process.wait_unexpected_exit()
        if code is not None:
            how = f"ended with code {code}"
            self._announce(process.name, how, f"start it again: fuze restart {process.name}")

    async def _run(self, job: Job) -> str:
        code, said = await run_to_end(job.command, dict(job.environment))
        if code:
            raise StackError(f"{job.name}: {' '.join(job.command[1:4])} failed:\n{said}")
        return said

    async def _migrate(self, migrations: Iterable[Job]) -> None:
        began = time.monotonic()
        await asyncio.gather(*(self._run(migration) for migration in migrations))
        took = time.monotonic() - began
        self._announce("migrations", f"done in {took:.1f} s", "orders, payments, shipping, gateway")

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
