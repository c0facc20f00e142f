"""Injects scheduled faults into a running stack, and reverts each of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import stamina
from temporalio.service import RPCError

from fuze_chaos.endpoints.receiver import Behaviour
from fuze_chaos.faults import clock_skew, postgres
from fuze_chaos.faults.catalog import FaultError, ScheduledFault
from fuze_chaos.faults.endpoints import EndpointFaults
from fuze_chaos.faults.operators import OperatorFaults
from fuze_chaos.faults.processes import ProcessFaults
from fuze_chaos.proxy.pool import ProxyPool
from fuze_chaos.proxy.tcp_proxy import TcpProxy
from fuze_chaos.snapshots.postgres import CONNECTION_ERRORS
from fuze_devstack import http_client
from fuze_devstack.errors import StackError
from fuze_devstack.stack import Stack

_STEP_TIMEOUT_SECONDS = 12.0
_LAST_STEP_TIMEOUT_SECONDS = 2.0
_POLL_SECONDS = 0.02
_FLAKY = {
    "response_dropped": 0.15,
    "delayed_commit": 0.15,
    "error": 0.15,
    "rate_limited": 0.15,
}
_SLOW_SECONDS = 2.0
_LATENCY_SECONDS = 0.5
_PROVIDER_OF = {"payment": "psp", "shipping": "carrier"}
_BREAKPOINTS = frozenset({"before_write", "after_write"})


@dataclass(frozen=True)
class Environment:
    """What faults are injected into; `sandbox`, `dsn` and the operator bypass every proxy."""

    stack: Stack
    folder: Path
    proxies: ProxyPool
    sandbox: str
    dsn: str
    duplicate_burst: Callable[[int], Awaitable[None]]
    operator: OperatorFaults
    endpoints: EndpointFaults


class FaultInjector:
    """Injects one fault per lane at a time; each is reverted before its call returns."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._processes = ProcessFaults(environment.stack, environment.folder)
        self._provider_faults: dict[str, dict[str, Any]] = {"psp": {}, "carrier": {}}
        self._breakpoints = {provider: asyncio.Lock() for provider in self._provider_faults}
        self._step_timeout = _STEP_TIMEOUT_SECONDS
        self._waits_for_step: set[asyncio.Timeout] = set()

    def shorten_waits_for_steps(self) -> None:
        """Wait for an order to reach a step 2 s at most, from now on: few orders are left."""
        self._step_timeout = _LAST_STEP_TIMEOUT_SECONDS
        deadline = asyncio.get_running_loop().time() + self._step_timeout
        for wait in self._waits_for_step:
            wait.reschedule(min(deadline, wait.when() or deadline))

    async def inject(self, fault: ScheduledFault) -> str | None:
        """Inject a fault for its duration, revert it, and return a note on its effect.

        Raises:
            FaultError: it could not be injected. Anything partly injected is reverted.

        """
        try:
            return await self._inject(fault)
        except (
            *CONNECTION_ERRORS,
            StackError,
            httpx.HTTPError,
            psutil.Error,
            RPCError,
        ) as error:
            raise FaultError(repr(error)) from error

    async def has_target(self, fault: ScheduledFault) -> bool:
        """Return whether an open order is left, if the fault needs one."""
        if not fault.needs_order:
            return True
        try:
            return bool(await self._environment.operator.targets.list_open(fault, "order"))
        except CONNECTION_ERRORS:
            return True  # PostgreSQL is down because of another fault

    async def revert_all(self) -> None:
        """Restore proxies, providers and what the operator has broken; make every process run."""
        await self._environment.proxies.heal()
        for name in self._processes.names:
            await self._processes.ensure_running(name)
        for provider in self._provider_faults:
            self._provider_faults[provider] = {}
            await self._configure(provider)
        await self._environment.operator.resolve_all()
        await self._environment.endpoints.repair_all()

    async def _inject(self, fault: ScheduledFault) -> str | None:
        target, duration = fault.target, fault.duration
        processes, dsn = self._processes, self._environment.dsn
        operator = self._environment.operator
        kinds: dict[str, Callable[[], Awaitable[str | None]]] = {
            "kill": lambda: processes.kill(target, duration),
            "pause": lambda: processes.pause(target, duration),
            "graceful-restart": lambda: processes.graceful_restart(target),
            "kill-at-step": lambda: self._at_step(target, duration, processes.kill),
            "pause-at-step": lambda: self._at_step(target, duration, processes.pause),
            "clock-skew": lambda: processes.run_with_environment(
                target, clock_skew.one_hour_ahead(), duration
            ),
            "disk-full": lambda: processes.fail_writes(target, duration),
            "table-lock": lambda: postgres.lock_events(dsn, duration),
            "connection-exhaustion": lambda: postgres.exhaust_connections(dsn, duration),
            "migrate": lambda: postgres.migrate(dsn, target, duration),
            "duplicate-requests": lambda: self._environment.duplicate_burst(fault.number),
            "outage": lambda: self._in_provider(fault, available=False),
            "flaky": lambda: self._in_provider(fault, faults=_FLAKY, seed=fault.number),
            "slow": lambda: self._in_provider(fault, delay_seconds=_SLOW_SECONDS),
            "reset": lambda: self._in_proxy(fault, TcpProxy.reset),
            "blackhole": lambda: self._in_proxy(fault, TcpProxy.blackhole),
            "latency": lambda: self._in_proxy(
                fault, lambda proxy: proxy.add_latency(_LATENCY_SECONDS)
            ),
            "drop-response": lambda: self._in_proxy(fault, TcpProxy.drop_responses),
            "endpoint-kill": lambda: self._environment.endpoints.kill(target, duration),
            "endpoint-hang": lambda: self._at_endpoint(fault, Behaviour.HANG),
            "endpoint-lie": lambda: self._at_endpoint(fault, Behaviour.LIE),
            "endpoint-forget": lambda: self._at_endpoint(fault, Behaviour.FORGET),
            "endpoint-gone": lambda: self._at_endpoint(fault, Behaviour.GONE),
            "operator-reset": lambda: self._operate(fault, operator.reset),
            "operator-reset-and-cancel": lambda: self._operate(fault, operator.reset_and_cancel),
            "operator-cancel": lambda: self._operate(fault, operator.cancel),
            "operator-pause": lambda: self._operate(fault, operator.pause, on_activity=True),
            "operator-complete": lambda: self._operate(fault, operator.complete, on_activity=True),
            "operator-terminate": lambda: self._operate(fault, operator.terminate),
            "operator-delete": lambda: self._operate(fault, operator.delete),
        }
        return await kinds[fault.kind]()

    async def _in_proxy(self, fault: ScheduledFault, apply: Callable[[TcpProxy], None]) -> str:
        proxies, name = self._environment.proxies, fault.target
        before = proxies.counters(name)
        await proxies.apply(name, apply)
        try:
            await asyncio.sleep(fault.duration)
        finally:
            await proxies.apply(name, TcpProxy.heal)
        passed, resets = (
            now - then for now, then in zip(proxies.counters(name), before, strict=True)
        )
        if not passed and not resets:
            return "no traffic during the fault"
        return f"{passed} bytes passed, {resets} connections reset"

    async def _in_provider(self, fault: ScheduledFault, **settings: Any) -> None:  # noqa: ANN401 - JSON
        await self._configure(fault.target, **settings)
        try:
            await asyncio.sleep(fault.duration)
        finally:
            await self._configure(fault.target, *settings)

    async def _at_endpoint(self, fault: ScheduledFault, behaviour: Behaviour) -> str:
        return await self._environment.endpoints.behave(fault.target, behaviour, fault.duration)

    async def _at_step(
        self, where: str, duration: float, hit: Callable[[str, float], Awaitable[str | None]]
    ) -> str | None:
        """Hit a component at a step boundary: `order@payment_charged`."""
        component, _, step = where.partition("@")
        if step in _BREAKPOINTS:
            async with self._paused_request(_PROVIDER_OF[component], step):
                hitting = asyncio.ensure_future(hit(component, duration))
                await asyncio.sleep(0.1)  # the process is down before its request is released
            return await hitting
        await self._wait_for_event(step)
        return await hit(component, duration)

    async def _operate(
        self,
        fault: ScheduledFault,
        act: Callable[[ScheduledFault, str], Awaitable[str]],
        *,
        on_activity: bool = False,
    ) -> str:
        """Let an operator act on a workflow at random, or at a step; then resolve it."""
        operator = self._environment.operator
        component, _, step = fault.target.partition("@")
        if step in _BREAKPOINTS:
            async with self._paused_request(_PROVIDER_OF[component], step):
                kind = "shipping" if component == "shipping" else "order"
                workflow_id = await operator.targets.choose(fault, kind, on_activity=True)
                note = await act(fault, workflow_id)
        elif step:
            note = await act(fault, f"{component}/{await self._wait_for_event(step)}")
        else:
            workflow_id = await operator.targets.choose(fault, component, on_activity=on_activity)
            note = await act(fault, workflow_id)
        await asyncio.sleep(fault.duration)
        return "; ".join((note, *await operator.resolve()))

    async def _wait_for_event(self, step: str) -> str:
        """Return the order that commits this event next."""
        async with self._limit_wait(f"no order reached {step}"):
            return await postgres.wait_for_event(self._environment.dsn, step, _POLL_SECONDS)

    @asynccontextmanager
    async def _paused_request(self, provider: str, where: str) -> AsyncIterator[None]:
        """Hold the next request at a breakpoint of the sandbox for the length of the block."""
        async with self._breakpoints[provider]:
            await self._configure(provider, pause_at=where)
            try:
                async with self._limit_wait(f"no request reached the {provider} at {where}"):
                    while not await self._count_paused(provider):
                        await asyncio.sleep(_POLL_SECONDS)
                yield
            finally:
                await self._configure(provider, "pause_at")

    @asynccontextmanager
    async def _limit_wait(self, failure: str) -> AsyncIterator[None]:
        """Limit the wait for an order to reach a step.

        Raises:
            FaultError: the time is over.

        """
        seconds = self._step_timeout
        try:
            async with asyncio.timeout(seconds) as wait:
                self._waits_for_step.add(wait)
                try:
                    yield
                finally:
                    self._waits_for_step.discard(wait)
        except TimeoutError:
            raise FaultError(f"{failure} within {seconds:.0f} s") from None

    async def _count_paused(self, provider: str) -> int:
        async with http_client.create_client() as client:
            response = await client.get(f"{self._environment.sandbox}/control/{provider}")
        paused: int = response.json()["paused_requests"]
        return paused

    async def _configure(self, provider: str, *removed: str, **added: Any) -> None:  # noqa: ANN401 - JSON
        """Change some of a provider's fault settings; those of the other lane stay."""
        for name in removed:
            self._provider_faults[provider].pop(name, None)
        self._provider_faults[provider] |= added
        url = f"{self._environment.sandbox}/control/{provider}"
        # The sandbox may be down because of another fault.
        retries = stamina.retry_context(
            on=httpx.TransportError, attempts=20, timeout=None, wait_initial=0.5, wait_max=0.5
        )
        async for attempt in retries:
            with attempt:
                async with http_client.create_client() as client:
                    response = await client.put(url, json=self._provider_faults[provider])
                    response.raise_for_status()
