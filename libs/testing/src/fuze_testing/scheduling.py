"""How the tests of a run are divided among pytest-xdist's workers.

A file is the unit: its tests share module fixtures. Files whose tests use the shared stack form two
units, because every worker that has one of them starts a stack, which takes longer than most tests.
"""

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

_UNITS = {
    "tests-e2e/test_chaos.py": "1",
    "tests-e2e/test_fuzz.py": "2",
    "tests-e2e/test_durability.py": "3: shared stack, broken and repaired",
    "tests-e2e/test_payment_crashes.py": "3: shared stack, broken and repaired",
    "tests-e2e/test_gateway.py": "3: shared stack, broken and repaired",
    "tests-e2e/test_races.py": "4: shared stack",
    "tests-e2e/test_order_lifecycle.py": "4: shared stack",
    "tests-e2e/test_delivery.py": "4: shared stack",
    "tests-e2e/test_refunds.py": "4: shared stack",
    "tests-e2e/test_operators.py": "4: shared stack",
    "tests-e2e/test_stack.py": "5",
}


class StackScheduling(LoadFileScheduling):  # type: ignore[misc] # pytest-xdist has no type information
    """Schedules files, and some of them together."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _UNITS.get(file, file)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest units first, so that no worker begins one when the others end."""
    order = sorted(_UNITS, key=_UNITS.__getitem__)

    def rank(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        return order.index(file) if file in _UNITS else len(order)

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> StackScheduling:  # noqa: ANN401 - the plugin's own type
    """Return the scheduler of `make test`."""
    return StackScheduling(config, log)
