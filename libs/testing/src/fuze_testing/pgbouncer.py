"""PgBouncer between a test and PostgreSQL, where it is installed."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import pytest

from fuze_devstack.ports import Ports
from fuze_devstack.processes import die_with_parent

_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")

needs_pgbouncer = pytest.mark.skipif(_PROGRAM is None, reason="PgBouncer is not installed")


@contextmanager
def serve_pgbouncer(
    folder: Path, url: str, pool_mode: Literal["session", "transaction"], *, pool_size: int
) -> Iterator[str]:
    """Run PgBouncer in front of the database of `url`, and yield its own URL."""
    server = urlsplit(url)
    port = Ports.free().postgres
    login = f"user={server.username} password={server.password}"
    config = folder / "pgbouncer.ini"
    config.write_text(f"""
[databases]
fuze = host=127.0.0.1 port={server.port} dbname=fuze {login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {pool_mode}
default_pool_size = {pool_size}
""")
    user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to run as root
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [str(_PROGRAM), *user, str(config)],
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(die_with_parent, signal.SIGTERM),  # noqa: PLW1509 - it takes no lock
        )
    try:
        while not _accepts(port):
            if process.poll() is not None:
                raise RuntimeError((folder / "pgbouncer.log").read_text())
            time.sleep(0.02)
        yield f"postgresql://{server.username}@127.0.0.1:{port}/fuze"
    finally:
        process.terminate()
        process.wait(10)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True
