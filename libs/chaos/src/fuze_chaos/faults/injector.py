"""Carries strikes out on real processes, links and books, and mends what they broke."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from fuze_chaos import clock, database
from fuze_chaos.links import Link
from fuze_chaos.outcome import Strike
from fuze_chaos.processes import Processes
from fuze_chaos.street import Street
from fuze_devstack import http_client
from fuze_devstack.errors import StackError
from fuze_devstack.stack import Stack

_STEP_COMES_WITHIN_SECONDS = 12.0
_LOOKS_EVERY_SECONDS = 0.02
_MISBEHAVIOUR = {
    "response_dropped": 0.15,
    "delayed_commit": 0.15,
    "error": 0.15,
    "rate_limited": 0.15,
}
_SLOW_SECONDS = 2.0
_LATE_SECONDS = 0.5
_PART_OF = {"payment": "psp", "shipping": "carrier"}


class FaultError(Exception):
    """A fault could not be carried out, as when the step that it waits for did not come."""


@dataclass(frozen=True)
class Scene:
    """What faults are carried out on."""

    stack: Stack
    folder: Path
    street: Street
    sandbox: str
    dsn: str
    storm: Callable[[int], Awaitable[None]]


class Faults:
    """Carries out one strike at a time and lane; each is mended before its call returns."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._processes = Processes(scene.stack, scene.folder)
        self._conditions: dict[str, dict[str, Any]] = {"psp": {}, "carrier": {}}

    async def carry_out(self, strike: Strike) -> str | None:
        """Break something for as long as the strike lasts; return what was peculiar about it.

        Raises:
            FaultError: it could not be broken. Whatever was, is mended all the same.

        """
        try:
            return await self._carry_out(strike)
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

    async def heal(self) -> None:
        """Leave nothing broken: links whole, outsiders well, every process there and awake."""
        await self._scene.street.heal()
        for name in self._processes.names:
            await self._processes.make_sure(name)
        for part in self._conditions:
            self._conditions[part] = {}
            await self._tell(part)

    async def _carry_out(self, strike: Strike) -> str | None:
        target, lasts = strike.target, strike.lasts
        kinds: dict[str, Callable[[], Awaitable[str | None]]] = {
            "kill": lambda: self._processes.kill(target, lasts),
            "freeze": lambda: self._processes.freeze(target, lasts),
            "drain": lambda: self._processes.drain(target),
            "kill-at-step": lambda: self._at_step(target, lasts, self._processes.kill),
            "freeze-at-step": lambda: self._at_step(target, lasts, self._processes.freeze),
            "clock": lambda: self._processes.run_with(target, clock.an_hour_fast(), lasts),
            "disk-full": lambda: self._processes.refuse_writes(target, lasts),
            "lock": lambda: database.lock_events(self._scene.dsn, lasts),
            "connections": lambda: database.take_all_connections(self._scene.dsn, lasts),
            "migrate": lambda: database.migrate(self._scene.dsn, target, lasts),
            "duplicates": lambda: self._scene.storm(strike.number),
            "away": lambda: self._outside(strike, available=False),
            "misbehave": lambda: self._outside(strike, faults=_MISBEHAVIOUR, seed=strike.number),
            "slow": lambda: self._outside(strike, delay_seconds=_SLOW_SECONDS),
            "cut": lambda: self._between(strike, Link.cut),
            "half-open": lambda: self._between(strike, Link.swallow),
            "delay": lambda: self._between(strike, lambda link: link.slow(_LATE_SECONDS)),
            "reset-after-reply": lambda: self._between(strike, Link.reset_after_reply),
        }
        return await kinds[strike.kind]()

    async def _between(self, strike: Strike, break_it: Callable[[Link], None]) -> str:
        street, name = self._scene.street, strike.target
        before = street.passed(name)
        await street.tell(name, break_it)
        try:
            await asyncio.sleep(strike.lasts)
        finally:
            await street.tell(name, Link.heal)
        passed, resets = (now - then for now, then in zip(street.passed(name), before, strict=True))
        if not passed and not resets:
            return "nothing came by meanwhile"
        return f"{passed} bytes passed, {resets} connections reset"

    async def _outside(self, strike: Strike, **conditions: Any) -> None:  # noqa: ANN401 - JSON
        await self._tell(strike.target, **conditions)
        try:
            await asyncio.sleep(strike.lasts)
        finally:
            await self._tell(strike.target, *conditions)

    async def _at_step(
        self, where: str, lasts: float, hit: Callable[[str, float], Awaitable[str | None]]
    ) -> str | None:
        """Hit a component at the step's boundary: `order@payment_charged`."""
        component, _, step = where.partition("@")
        if step in {"before_write", "after_write"}:
            return await self._at_gate(_PART_OF[component], step, lambda: hit(component, lasts))
        try:
            async with asyncio.timeout(_STEP_COMES_WITHIN_SECONDS):
                await database.next_event(self._scene.dsn, step, _LOOKS_EVERY_SECONDS)
        except TimeoutError:
            raise FaultError(f"no {step} within {_STEP_COMES_WITHIN_SECONDS:.0f} s") from None
        return await hit(component, lasts)

    async def _at_gate(
        self, part: str, gate: str, hit: Callable[[], Awaitable[str | None]]
    ) -> str | None:
        """Hit whoever waits at a gate of the sandbox, and let its request through meanwhile."""
        await self._tell(part, hold=gate)
        try:
            async with asyncio.timeout(_STEP_COMES_WITHIN_SECONDS):
                while not await self._held(part):
                    await asyncio.sleep(_LOOKS_EVERY_SECONDS)
        except TimeoutError:
            await self._tell(part, "hold")
            raise FaultError(f"nobody came to the {part}'s gate {gate}") from None
        hitting = asyncio.ensure_future(hit())
        await asyncio.sleep(0.1)  # the signal is out, and the request lands while nobody listens
        await self._tell(part, "hold")
        return await hitting

    async def _held(self, part: str) -> int:
        async with http_client.create_client() as client:
            answer = await client.get(f"{self._scene.sandbox}/control/{part}")
        held: int = answer.json()["held"]
        return held

    async def _tell(self, part: str, *no_longer: str, **conditions: Any) -> None:  # noqa: ANN401 - JSON
        """Change some of a part's conditions; those of the other lane stay as they are."""
        for name in no_longer:
            self._conditions[part].pop(name, None)
        self._conditions[part] |= conditions
        async with http_client.create_client() as client:
            for _ in range(20):
                with suppress(httpx.TransportError):  # the sandbox is hit by a fault itself
                    answer = await client.put(
                        f"{self._scene.sandbox}/control/{part}", json=self._conditions[part]
                    )
                    answer.raise_for_status()
                    return
                await asyncio.sleep(0.5)
        raise FaultError(f"the sandbox does not hear about its {part}")
