"""A service's schema commands, against the running stack or a server started for them."""

from pathlib import Path
from urllib.parse import urlsplit

from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.processes import ManagedProcess, run_to_end
from fuze_devstack.state import FolderLock, StackFile
from fuze_devstack.topology import StackDefinition


async def run(folder: Path, service: str, *arguments: str) -> tuple[int, str]:
    """Run `python -m fuze_<service> <arguments>` as the schema's owner.

    Returns its exit code and what it said. Without a running stack PostgreSQL is started for it.

    Raises:
        StackError: PostgreSQL does not start, or a stack is starting.

    """
    try:
        running = StackFile(folder).read()
    except StackError:
        return await _on_a_server_of_its_own(folder, service, *arguments)
    port = urlsplit(running["postgres"]["dsn"]).port or 5432
    migration = StackDefinition(folder, Ports(postgres=port)).migration(service, *arguments)
    return await run_to_end(migration.command, dict(migration.environment))


async def _on_a_server_of_its_own(folder: Path, service: str, *arguments: str) -> tuple[int, str]:
    lock = FolderLock(folder)
    lock.take()
    blueprint = StackDefinition(folder, Ports.free())
    server = ManagedProcess(blueprint.postgres(), folder / "logs")
    try:
        await server.start()
        if arguments[0] != "migrate":  # a revision is the difference to the newest schema
            await _run(blueprint, service, "migrate")
        return await _run(blueprint, service, *arguments)
    finally:
        await server.stop()
        lock.give_back()


async def _run(blueprint: StackDefinition, service: str, *arguments: str) -> tuple[int, str]:
    migration = blueprint.migration(service, *arguments)
    return await run_to_end(migration.command, dict(migration.environment))
