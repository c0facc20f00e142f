"""The notes that the fault injector returns."""

from pathlib import Path
from typing import cast

import pytest

from fuze_chaos.faults.catalog import ScheduledFault
from fuze_chaos.faults.injector import Environment, FaultInjector
from fuze_chaos.faults.operators import OperatorFaults
from fuze_chaos.proxy.pool import ProxyPool
from fuze_devstack.stack import Stack

_CONNECTION = "payment->postgres"


async def _no_burst(_: int) -> None:
    """These tests inject no duplicate requests."""


@pytest.mark.parametrize("kind", ["reset", "blackhole", "latency", "drop-response"])
async def test_a_proxy_fault_without_traffic_says_so(kind: str, tmp_path: Path) -> None:
    async with ProxyPool({_CONNECTION: 1}) as proxies:
        environment = Environment(
            stack=cast("Stack", None),
            folder=tmp_path,
            proxies=proxies,
            sandbox="",
            dsn="",
            duplicate_burst=_no_burst,
            operator=cast("OperatorFaults", None),
        )
        fault = ScheduledFault(number=1, kind=kind, target=_CONNECTION, at=0, duration=0)

        assert await FaultInjector(environment).inject(fault) == "no traffic during the fault"
