"""The state folder: whose it is now, and what a running stack tells others about itself."""

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
    """Whoever holds it has the state folder to himself; the system drops it with the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file: IO[str] | None = None
        self.is_stale = False

    @property
    def is_ours(self) -> bool:
        """Whether we hold it."""
        return self._file is not None

    def take(self) -> None:
        """Take it; `is_stale` tells whether its last holder was killed.

        Raises:
            StackError: somebody holds it.

        """
        make_state_folder(self._path.parent)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise StackError(
                f"a stack runs in {self._path.parent} already, or starts; stop it: fuze down, "
                "or take another folder: --state-dir"
            ) from None
        file.seek(0)
        self.is_stale = bool(file.read())
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def give_back(self) -> None:
        """Let others have it."""
        if self._file is not None:
            self._file.truncate(0)
            self._file.close()
            self._file = None

    def is_held(self) -> bool:
        """Whether somebody holds it."""
        if not self._path.exists():
            return False
        with self._path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False


def short_name(folder: Path) -> str:
    """Return a name for what belongs to a state folder but cannot be in it."""
    return f"fuze-{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]}"


def control_socket(folder: Path) -> Path:
    """Return where the stack of this folder listens.

    Raises:
        StackError: no temporary folder has a path that is short enough for a Unix socket.

    """
    for base in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        path = base / f"{short_name(folder)}.sock"
        if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH and os.access(base, os.W_OK):
            return path
    raise StackError("no temporary folder has a short path; set TMPDIR to one, such as /tmp")


class StackFile:
    """The file in the state folder; written in one piece, there only while the stack runs.

    Its keys are the components, each with `pid`, `log` and what its kind has besides (`url`,
    `health`, `dsn`, `address`, `ui`), and `supervisor` with `pid` and `control`.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "stack.json"

    def write(self, content: dict[str, dict[str, Any]]) -> None:
        """Replace the file, for its owner's eyes: it holds the database's password."""
        fresh = self.path.with_suffix(".json.new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(content, indent=2) + "\n")
        fresh.replace(self.path)

    def remove(self) -> None:
        """Say that no stack runs."""
        self.path.unlink(missing_ok=True)

    def read(self) -> dict[str, dict[str, Any]]:
        """Return the running stack.

        Raises:
            StackError: none runs here.

        """
        try:
            content: dict[str, dict[str, Any]] = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            raise StackError(f"no stack runs in {self.path.parent}; start one: fuze up") from None
        if not FolderLock(self.path.parent).is_held():
            self.remove()
            raise StackError(f"the stack in {self.path.parent} is gone; start it again: fuze up")
        return content


def make_state_folder(folder: Path) -> None:
    """Make the folder for its owner alone: orders have names and addresses."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def state_folder(chosen: Path | None) -> Path:
    """Return where a stack keeps everything: as chosen, else `FUZE_STATE_DIR`, else `.fuze`."""
    return (chosen or Path(os.environ.get("FUZE_STATE_DIR", ".fuze"))).absolute()
