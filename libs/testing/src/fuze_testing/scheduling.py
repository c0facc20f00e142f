"""How the tests of a run are divided among pytest-xdist's workers.

A unit's tests run in one worker, because they share servers whose start takes longer than most
tests: a package's tests a database and a Temporal server, end-to-end tests a stack. Only two units
have stacks: each is many processes, which slow each other on few cores.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

_UNITS = (
    ("tests-e2e/test_chaos.py", "tests-e2e/test_demo.py"),
    ("tests-e2e",),
    ("services/order",),
    ("services/gateway",),
    ("libs/devstack",),
    ("services/payment",),
    ("libs/runtime",),
    ("libs/chaos", "libs/psp"),
    ("services", "libs"),
)
"""The paths of each unit's tests, the longest units first; the first match counts."""


class UnitScheduling(LoadFileScheduling):  # type: ignore[misc] # pytest-xdist has no type information
    """Gives each worker whole units."""

    def _split_scope(self, nodeid: str) -> str:
        return str(_find_unit(nodeid))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest units first, so that no worker begins one when the others end."""
    items.sort(key=lambda item: _find_unit(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> UnitScheduling:  # noqa: ANN401 - the plugin's own type
    """Return the scheduler of `make test`."""
    return UnitScheduling(config, log)


def _find_unit(nodeid: str) -> int:
    return next(
        (number for number, paths in enumerate(_UNITS) if nodeid.startswith(paths)), len(_UNITS)
    )
