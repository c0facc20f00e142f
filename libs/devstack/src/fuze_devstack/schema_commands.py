"""The schema commands of a service, on the running stack or on a PostgreSQL started for them."""

from pathlib import Path
from urllib.parse import urlsplit

from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.processes import ManagedProcess, run_job
from fuze_devstack.state import FolderLock, StackFile
from fuze_devstack.topology import StackDefinition


async def run(folder: Path, service: str, *arguments: str) -> tuple[int, str]:
    """Run `python -m fuze_<service> <arguments>` as the owner of the schema.

    Return its exit code and its output. Without a running stack, PostgreSQL is started for it.

    Raises:
        StackError: PostgreSQL does not start, or a stack is starting in the folder.

    """
    try:
        running = StackFile(folder).read()
    except StackError:
        return await _run_with_own_server(folder, service, *arguments)
    port = urlsplit(running["postgres"]["dsn"]).port or 5432
    migration = StackDefinition(folder, Ports(postgres=port)).migration(service, *arguments)
    return await run_job(migration)


async def _run_with_own_server(folder: Path, service: str, *arguments: str) -> tuple[int, str]:
    lock = FolderLock(folder)
    lock.acquire()
    definition = StackDefinition(folder, Ports.free())
    server = ManagedProcess(definition.postgres(), folder / "logs")
    try:
        await server.start()
        if arguments[0] != "migrate":  # a revision is the difference from the newest schema
            await _run(definition, service, "migrate")
        return await _run(definition, service, *arguments)
    finally:
        await server.stop()
        lock.release()


async def _run(definition: StackDefinition, service: str, *arguments: str) -> tuple[int, str]:
    return await run_job(definition.migration(service, *arguments))
