"""A clock that is wrong, for one process: libfaketime, where it is installed."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from fuze_devstack.errors import StackError

_HALF_AN_HOUR = 30 * 60
_USUAL_PLACES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
)


def an_hour_fast() -> dict[str, str]:
    """Return the variables under which a process lives an hour ahead.

    Raises:
        StackError: there is no libfaketime, or it does not work here.

    """
    library = _library()
    if library is None:
        raise StackError("a wrong clock takes libfaketime: pip install libfaketime")
    # Time-outs are counted by the monotonic clock, which nobody sets.
    return {"LD_PRELOAD": str(library), "FAKETIME": "+1h", "DONT_FAKE_MONOTONIC": "1"}


def can_be_wrong() -> bool:
    """Whether a process's clock can be set wrong on this machine."""
    try:
        variables = an_hour_fast()
    except StackError:
        return False
    asked = subprocess.run(
        [sys.executable, "-c", "import time; print(int(time.time()))"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip().isdecimal() and int(asked.stdout) > time.time() + _HALF_AN_HOUR


def _library() -> Path | None:
    spec = find_spec("libfaketime")
    places = [Path(place) for place in _USUAL_PLACES]
    if spec is not None and spec.origin is not None:
        vendored = Path(spec.origin).parent / "vendor" / "libfaketime" / "src"
        places.insert(0, vendored / "libfaketime.so.1")
    return next((place for place in places if place.exists()), None)
