"""Injects scheduled faults into a running stack, and reverts each of them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import stamina

from fuze_chaos.faults import clock_skew, postgres
from fuze_chaos.faults.catalog import ScheduledFault
from fuze_chaos.faults.processes import ProcessFaults
from fuze_chaos.proxy.pool import ProxyPool
from fuze_chaos.proxy.tcp_proxy import TcpProxy
from fuze_devstack import http_client
from fuze_devstack.errors import StackError
from fuze_devstack.stack import Stack

_STEP_TIMEOUT_SECONDS = 12.0
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


class FaultError(Exception):
    """A fault could not be injected, for example because its step did not occur in time."""


@dataclass(frozen=True)
class Environment:
    """What faults are injected into; `sandbox` and `dsn` bypass every proxy."""

    stack: Stack
    folder: Path
    proxies: ProxyPool
    sandbox: str
    dsn: str
    duplicate_burst: Callable[[int], Awaitable[None]]


class FaultInjector:
    """Injects one fault per lane at a time; each is reverted before its call returns."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._processes = ProcessFaults(environment.stack, environment.folder)
        self._provider_faults: dict[str, dict[str, Any]] = {"psp": {}, "carrier": {}}

    async def inject(self, fault: ScheduledFault) -> str | None:
        """Inject a fault for its duration, revert it, and return a note on its effect.

        Raises:
            FaultError: it could not be injected. Anything partly injected is reverted.

        """
        try:
            return await self._inject(fault)
        except (
            StackError,
            OSError,
            TimeoutError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            httpx.HTTPError,
            psutil.Error,
        ) as error:
            raise FaultError(repr(error)) from error

    async def revert_all(self) -> None:
        """Restore proxies and providers, and make sure that every process runs."""
        await self._environment.proxies.heal()
        for name in self._processes.names:
            await self._processes.ensure_running(name)
        for provider in self._provider_faults:
            self._provider_faults[provider] = {}
            await self._configure(provider)

    async def _inject(self, fault: ScheduledFault) -> str | None:
        target, duration = fault.target, fault.duration
        processes, dsn = self._processes, self._environment.dsn
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

    async def _at_step(
        self, where: str, duration: float, hit: Callable[[str, float], Awaitable[str | None]]
    ) -> str | None:
        """Hit a component at a step boundary: `order@payment_charged`."""
        component, _, step = where.partition("@")
        if step in {"before_write", "after_write"}:
            return await self._at_breakpoint(
                _PROVIDER_OF[component], step, lambda: hit(component, duration)
            )
        try:
            async with asyncio.timeout(_STEP_TIMEOUT_SECONDS):
                await postgres.wait_for_event(self._environment.dsn, step, _POLL_SECONDS)
        except TimeoutError:
            raise FaultError(
                f"no order reached {step} within {_STEP_TIMEOUT_SECONDS:.0f} s"
            ) from None
        return await hit(component, duration)

    async def _at_breakpoint(
        self, provider: str, where: str, hit: Callable[[], Awaitable[str | None]]
    ) -> str | None:
        """Hit the component whose request waits at a breakpoint of the sandbox."""
        await self._configure(provider, pause_at=where)
        try:
            async with asyncio.timeout(_STEP_TIMEOUT_SECONDS):
                while not await self._count_paused(provider):
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            await self._configure(provider, "pause_at")
            raise FaultError(
                f"no request reached the {provider} at {where} within {_STEP_TIMEOUT_SECONDS:.0f} s"
            ) from None
        hitting = asyncio.ensure_future(hit())
        await asyncio.sleep(0.1)  # the process is down before its request is released
        await self._configure(provider, "pause_at")
        return await hitting

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
