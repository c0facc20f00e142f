"""A PostgreSQL server for tests, with every role and every migration."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fuze_devstack.errors import StackError
from fuze_devstack.migrate_all import upgrade_all
from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_devstack.processes import die_with_parent

SHARED = "FUZE_TEST_POSTGRES"
"""The variable that names a running server for several test runs to share, as `folder:port`."""


@contextmanager
def migrated_postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """Start a server in `folder`, on a free port, and stop it at the end of the block.

    It does not wait for the disk, so its data does not survive a power cut.

    Raises:
        StackError: the server does not start; the message is its log.

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
            upgrade_all(server.url)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
    finally:
        server.clean_up()
