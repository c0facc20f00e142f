"""The servers that all sides use: PostgreSQL, Temporal, and the sandbox PSP and carrier."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from temporalio.client import Client

from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.processes import Component, ManagedProcess, run_job
from fuze_devstack.topology import StackDefinition


@dataclass(frozen=True, kw_only=True)
class Infrastructure:
    """The running servers, and what a side needs to use them."""

    folder: Path
    ports: Ports
    definition: StackDefinition
    processes: dict[str, ManagedProcess]
    postgres: asyncpg.Connection
    temporal: Client

    @property
    def dsn(self) -> str:
        """The connection string of PostgreSQL's superuser."""
        return self.processes["postgres"].component.connection_info["dsn"]

    @property
    def temporal_address(self) -> str:
        """Where Temporal listens."""
        return self.processes["temporal"].component.connection_info["address"]

    @property
    def sandbox_url(self) -> str:
        """The URL of the sandbox, without its parts `/psp` and `/carrier`."""
        return self.processes["sandbox"].component.connection_info["url"]


@asynccontextmanager
async def run_infrastructure(folder: Path) -> AsyncIterator[Infrastructure]:
    """Start the servers as `fuze up` does, migrate Fuze's schemas, and stop the servers at the end.

    Raises:
        StackError: a server does not start, or a migration fails.

    """
    ports = Ports.free()
    definition = StackDefinition(folder, ports)
    async with run_components(definition.infrastructure(), folder) as processes:
        code, output = await run_job(definition.migrations())
        if code:
            raise StackError(f"the migrations failed:\n{output}")
        dsn = processes["postgres"].component.connection_info["dsn"]
        address = processes["temporal"].component.connection_info["address"]
        postgres = await asyncpg.connect(dsn)
        try:
            yield Infrastructure(
                folder=folder,
                ports=ports,
                definition=definition,
                processes=processes,
                postgres=postgres,
                temporal=await Client.connect(address),
            )
        finally:
            await postgres.close()


@asynccontextmanager
async def run_components(
    components: Iterable[Component], folder: Path
) -> AsyncIterator[dict[str, ManagedProcess]]:
    """Start components together, wait until they are ready, and stop them at the end."""
    processes = [ManagedProcess(one, folder / "logs") for one in components]
    try:
        await asyncio.gather(*(process.start() for process in processes))
        yield {process.name: process for process in processes}
    finally:
        await _stop(processes)


async def _stop(processes: Sequence[ManagedProcess]) -> None:
    # One that stops badly must not leave the others running.
    await asyncio.gather(*(process.stop() for process in processes), return_exceptions=True)
