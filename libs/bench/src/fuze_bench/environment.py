"""The rivals' packages: an environment of the benchmark's own, made from `rivals.lock`."""

import hashlib
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click

_PACKAGE = Path(__file__).parents[2]
LOCK = _PACKAGE / "rivals.lock"
_INSTALL = _PACKAGE.parents[1] / "deploy/install.sh"
_CREATE = [sys.executable, "-m", "venv", "--clear"]
_PRINT_VERSIONS = """
import importlib.metadata, json
print(json.dumps({one.name.lower(): one.version for one in importlib.metadata.distributions()}))
"""


class EnvironmentFailedError(click.ClickException):
    """The environment of the rivals' packages could not be made."""


class RivalEnvironment:
    """A virtual environment in `folder`, made when it is missing or the lock has changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._marker = folder / "rivals.sha256"

    @property
    def is_current(self) -> bool:
        """Whether it was made from the lock as it is now."""
        return self._marker.exists() and self._marker.read_text() == _digest()

    def make(self) -> None:
        """Create the environment, and install the lock.

        Raises:
            EnvironmentFailedError: the installation failed; the message has its output.

        """
        self._run([*_CREATE, str(self.folder)])
        self._run([str(_INSTALL), str(self.folder), str(LOCK)])
        self.mark_current()

    def mark_current(self) -> None:
        """Remember the lock from which it was made."""
        self._marker.write_text(_digest())

    def versions(self) -> dict[str, str]:
        """Return the version of each installed package, by its name in lower case."""
        listed = subprocess.run(
            [str(self.folder / "bin/python"), "-c", _PRINT_VERSIONS],
            capture_output=True,
            check=True,
            text=True,
        )
        versions: dict[str, str] = json.loads(listed.stdout)
        return versions

    @staticmethod
    def _run(command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=_INSTALL.parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EnvironmentFailedError(
                f"cannot install the packages of DBOS and Celery:\n{done.stdout.strip()}\n"
                "measure the others: --sides fuze,floor"
            )


def own_versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of packages in the environment of this process."""
    return {package: metadata.version(package) for package in packages}


def _digest() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()
