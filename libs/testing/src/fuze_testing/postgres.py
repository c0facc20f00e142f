"""A PostgreSQL for tests: every role, every migration, nothing in it, gone afterwards."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_devstack.processes import die_with_parent
from fuze_devstack.services import MIGRATED_SERVICES
from fuze_runtime import migrations
from fuze_runtime.settings import MigrationSettings

SHARED = "FUZE_TEST_POSTGRES"
"""Names the variable with which several test runs share one: `folder:port`."""


@contextmanager
def migrated_postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Start one in `folder`, on a free port, for the length of a block.

    It does not sync to disk: what it holds is worth nothing after a power cut.
    """
    server = EmbeddedPostgres(folder, Ports.free().postgres)
    try:
        server.prepare()
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*server.command, "-c", "fsync=off"],
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=partial(die_with_parent, signal.SIGINT),  # noqa: PLW1509 - it takes no lock
                **server.popen_options,
            )
        try:
            while not server.is_ready():
                if process.poll() is not None:
                    raise StackError((folder / "log").read_text())
                time.sleep(0.05)
            server.set_up()
            for service in MIGRATED_SERVICES:
                settings = MigrationSettings(
                    migration_database_url=server.url(service.migrator.name)
                )
                migrations.upgrade(settings, service.package)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    finally:
        server.clean_up()
