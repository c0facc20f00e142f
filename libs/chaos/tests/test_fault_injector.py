"""What the fault injector returns, and which errors it expects."""

import asyncio
from pathlib import Path
from typing import cast

import asyncpg
import pytest
from proxy_harness import ONE_HOUR

from fuze_chaos.faults import injector as injector_module
from fuze_chaos.faults import postgres
from fuze_chaos.faults.catalog import FaultError, ScheduledFault
from fuze_chaos.faults.endpoints import EndpointFaults
from fuze_chaos.faults.injector import Environment, FaultInjector
from fuze_chaos.faults.operators import OperatorFaults
from fuze_chaos.proxy.pool import ProxyPool
from fuze_devstack.stack import Stack

_CONNECTION = "payment->postgres"


async def _no_burst(_: int) -> None:
    """These tests inject no duplicate requests."""


def _environment(
    folder: Path, proxies: ProxyPool | None = None, operator: object = None
) -> Environment:
    return Environment(
        stack=cast("Stack", None),
        folder=folder,
        proxies=cast("ProxyPool", proxies),
        sandbox="",
        dsn="",
        duplicate_burst=_no_burst,
        operator=cast("OperatorFaults", operator),
        endpoints=cast("EndpointFaults", None),
    )


@pytest.mark.parametrize("kind", ["reset", "blackhole", "latency", "drop-response"])
async def test_a_proxy_fault_without_traffic_says_so(kind: str, tmp_path: Path) -> None:
    async with ProxyPool({_CONNECTION: 1}) as proxies:
        injector = FaultInjector(_environment(tmp_path, proxies))
        fault = ScheduledFault(number=1, kind=kind, target=_CONNECTION, at=0, duration=0)

        assert await injector.inject(fault) == "no traffic during the fault"


class _OperatorWithoutPostgresql:
    def __init__(self, error: Exception) -> None:
        self._error = error
        self.targets = self

    async def choose(self, *_: object, **__: object) -> str:
        raise self._error

    list_open = reset = choose


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("Connect call failed"),
        asyncpg.CannotConnectNowError("the database system is shutting down"),
        asyncpg.InterfaceError("connection is closed"),
        # The server was killed between two messages of a query.
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2)"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_fault_that_meets_an_outage_of_postgresql_is_not_injected_and_ends_no_run(
    error: Exception, tmp_path: Path
) -> None:
    operator = _OperatorWithoutPostgresql(error)
    injector = FaultInjector(_environment(tmp_path, operator=operator))
    fault = ScheduledFault(number=1, kind="operator-reset", target="order", at=0, duration=0)

    with pytest.raises(FaultError, match=type(error).__name__):
        await injector.inject(fault)
    assert await injector.has_target(fault)


async def test_a_fault_does_not_wait_for_a_step_long_after_the_workload(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waiting = asyncio.Event()

    async def wait_forever(*_: object) -> str:
        waiting.set()
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(postgres, "wait_for_event", wait_forever)
    monkeypatch.setattr(injector_module, "_STEP_TIMEOUT_SECONDS", ONE_HOUR)
    monkeypatch.setattr(injector_module, "_LAST_STEP_TIMEOUT_SECONDS", 0.01)
    operator = _OperatorWithoutPostgresql(AssertionError())
    injector = FaultInjector(_environment(tmp_path, operator=operator))
    fault = ScheduledFault(
        number=1, kind="operator-reset", target="order@order_approved", at=0, duration=0
    )

    injecting = asyncio.create_task(injector.inject(fault))
    await waiting.wait()
    injector.shorten_waits_for_steps()

    with pytest.raises(FaultError, match="no order reached order_approved"):
        await injecting
    with pytest.raises(FaultError, match="no order reached order_approved"):
        await injector.inject(fault)
