"""Clock skew for one process, by libfaketime if it is installed."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from fuze_devstack.errors import StackError

_HALF_AN_HOUR = 30 * 60
_SYSTEM_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
)


def one_hour_ahead() -> dict[str, str]:
    """Return the environment variables that set a process's clock one hour ahead.

    Raises:
        StackError: libfaketime is not installed.

    """
    library = _find_library()
    if library is None:
        raise StackError("clock-skew needs libfaketime; pip install libfaketime")
    # Timeouts use the monotonic clock, which no clock adjustment changes.
    return {"LD_PRELOAD": str(library), "FAKETIME": "+1h", "DONT_FAKE_MONOTONIC": "1"}


def is_supported() -> bool:
    """Whether the clock of a process can be skewed on this machine."""
    try:
        variables = one_hour_ahead()
    except StackError:
        return False
    probe = subprocess.run(
        [sys.executable, "-c", "import time; print(int(time.time()))"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return probe.stdout.strip().isdecimal() and int(probe.stdout) > time.time() + _HALF_AN_HOUR


def _find_library() -> Path | None:
    spec = find_spec("libfaketime")
    paths = [Path(path) for path in _SYSTEM_LIBRARIES]
    if spec is not None and spec.origin is not None:
        vendored = Path(spec.origin).parent / "vendor" / "libfaketime" / "src"
        paths.insert(0, vendored / "libfaketime.so.1")
    return next((path for path in paths if path.exists()), None)
