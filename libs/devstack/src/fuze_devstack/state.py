"""The state folder: its lock, and the file that describes the running stack."""

import fcntl
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import IO, Any

from fuze_devstack.errors import StackError

_LONGEST_SOCKET_PATH = 100  # in bytes; Linux allows 107, macOS 103


class FolderLock:
    """An exclusive lock of the state folder; the kernel releases it when the process exits."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file: IO[str] | None = None
        self.is_stale = False

    @property
    def is_acquired(self) -> bool:
        """Whether this process holds the lock."""
        return self._file is not None

    def acquire(self) -> None:
        """Acquire the lock; `is_stale` is true when its last holder was killed.

        Raises:
            StackError: another process holds it.

        """
        make_state_folder(self._path.parent)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise StackError(
                f"a stack runs in {self._path.parent}, or is starting; stop it: fuze down, "
                "or choose another folder: --state-dir"
            ) from None
        file.seek(0)
        self.is_stale = bool(file.read())
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Release the lock."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def is_held(self) -> bool:
        """Return whether any process holds the lock."""
        if not self._path.exists():
            return False
        with self._path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def short_name(folder: Path) -> str:
    """Return a name for what belongs to a state folder but is outside it."""
    return f"fuze-{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]}"


def control_socket(folder: Path) -> Path:
    """Return the socket at which the stack of this folder listens.

    Raises:
        StackError: no temporary folder has a path that is short enough for a Unix socket.

    """
    bases = (tempfile.gettempdir(), "/tmp", "/var/tmp")  # noqa: S108 - the socket has mode 0600
    for base in map(Path, bases):
        path = base / f"{short_name(folder)}.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH and os.access(base, os.W_OK):
            return path
    raise StackError("no temporary folder has a short path; set TMPDIR to one, such as /tmp")


class StackFile:
    """`stack.json` in the state folder: written atomically, and present only while the stack runs.

    Its keys are the components, each with `pid`, `log` and its connection info (`url`, `health`,
    `dsn`, `address`, `ui`), and `supervisor` with `pid` and `control`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "stack.json"

    def write(self, content: dict[str, dict[str, Any]]) -> None:
        """Replace the file, readable by its owner alone: it contains the database password."""
        fresh = self.path.with_suffix(".json.new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(content, indent=2) + "\n")
        fresh.replace(self.path)

    def remove(self) -> None:
        """Delete the file: no stack runs."""
        self.path.unlink(missing_ok=True)

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the description of the running stack.

        Raises:
            StackError: no stack runs in this folder.

        """
        try:
            content: dict[str, dict[str, Any]] = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            if FolderLock(self.path.parent).is_held():
                raise StackError(
                    f"a stack is starting in {self.path.parent}; wait until it is ready, "
                    "or press Ctrl-C in its terminal"
                ) from None
            raise StackError(f"no stack runs in {self.path.parent}; start one: fuze up") from None
        if not FolderLock(self.path.parent).is_held():
            self.remove()
            raise StackError(f"the stack in {self.path.parent} was killed; start it again: fuze up")
        return content


def make_state_folder(folder: Path) -> None:
    """Create the folder, accessible by its owner alone: orders contain personal data.

    Raises:
        StackError: it cannot be created.

    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(
            f"{error.filename}: {error.strerror}; choose another folder: --state-dir"
        ) from None


def state_folder(chosen: Path | None) -> Path:
    """Return the state folder: the chosen one, or else `FUZE_STATE_DIR`, or else `.fuze`."""
    return (chosen or Path(os.environ.get("FUZE_STATE_DIR", ".fuze"))).absolute()
