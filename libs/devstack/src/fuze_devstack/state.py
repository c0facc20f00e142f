"""`stack.json`: what a running stack tells others about itself."""

import json
import os
from pathlib import Path
from typing import Any

import psutil

from fuze_devstack.processes import StackError


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
        if not psutil.pid_exists(content["supervisor"]["pid"]):
            self.remove()
            raise StackError(f"the stack in {self.path.parent} is gone; start it again: fuze up")
        return content


def state_folder(chosen: Path | None) -> Path:
    """Return where a stack keeps everything: as chosen, else `FUZE_STATE`, else `.fuze`."""
    return (chosen or Path(os.environ.get("FUZE_STATE", ".fuze"))).absolute()
