"""Faults of processes say so where they have no effect."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from fuze_chaos.processes import Processes
from fuze_devstack.errors import StackError
from fuze_devstack.stack import Stack


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        monkeypatch.setattr(Processes, "_pid", lambda *_: process.pid)
        yield Processes(cast("Stack", None), tmp_path)
        process.kill()


async def test_a_disk_that_cannot_be_taken_from_a_process_is_no_fault(
    sleeper: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prlimit", "setpriv"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(StackError, match="prlimit may not"):
        await sleeper.refuse_writes("postgres", 0)
