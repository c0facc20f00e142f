"""Process faults that have no effect are errors."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from fuze_chaos.faults.processes import ProcessFaults
from fuze_devstack.errors import StackError
from fuze_devstack.stack import Stack


@pytest.fixture
def sleeping_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessFaults]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        monkeypatch.setattr(ProcessFaults, "_pid", lambda *_: process.pid)
        yield ProcessFaults(cast("Stack", None), tmp_path)
        process.kill()


async def test_disk_full_is_an_error_if_prlimit_is_denied(
    sleeping_process: ProcessFaults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("prlimit", "setpriv"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(StackError, match="prlimit may not"):
        await sleeping_process.fail_writes("postgres", 0)
