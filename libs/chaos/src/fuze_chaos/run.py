"""One run: a stack of its own, orders and faults at once, quiet, and then the books."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from fuze_chaos import books, journal, stuck
from fuze_chaos.caller import Caller, Tally
from fuze_chaos.defects import Defect
from fuze_chaos.driver import Driver
from fuze_chaos.faults import FaultError, Faults, Scene
from fuze_chaos.journal import Journal
from fuze_chaos.load import Load
from fuze_chaos.outcome import Report, Strike, Struck
from fuze_chaos.plan import LINKS, Lane, draw, first_round, named
from fuze_chaos.reconciling import reconcile
from fuze_chaos.street import Street
from fuze_chaos.telling import Course, tell
from fuze_devstack import http_client
from fuze_devstack.ports import Ports
from fuze_devstack.stack import ProgressCallback, Stack
from fuze_devstack.state import StackFile
from fuze_devstack.topology import StackOptions

SETTINGS = {
    "FUZE_APPROVAL_TIMEOUT": "20",
    "FUZE_APPROVAL_REMINDER_BEFORE": "10",
    "FUZE_PAYMENT_METHOD_TIMEOUT": "20",
    "FUZE_ADDRESS_TIMEOUT": "20",
    "FUZE_STEP_FAILURE_ALERT_AFTER": "15",
    "FUZE_AUTO_APPROVE_LIMITS": '{"USD": 1000}',
    "FUZE_PSP_TIMEOUT": "4",
    "FUZE_PAYMENT_LEASE": "8",
    "FUZE_PSP_SETTLE_WINDOW": "8",
    "FUZE_PSP_REVIEW_POLL_INTERVAL": "2",
    "FUZE_CARRIER_TIMEOUT": "4",
    "FUZE_RECONCILE_INTERVAL": "20",
    "FUZE_SHUTDOWN_TIMEOUT": "15",
}
"""Deadlines in seconds instead of days, so that every way an order can end fits into a run."""

FOLLOWING = {"FUZE_DELIVERY_TRACKING_PERIOD": "10"}

LARGEST_ACTIVITY_TIMEOUT_SECONDS = 30
ENDS_WITHIN_SECONDS = LARGEST_ACTIVITY_TIMEOUT_SECONDS + 30
"""After the last fault the last order is at its end within this."""

_FASTEST = 3.0
_RESTART_TAKES = 3.0
_QUIET_SECONDS = 2.0
_DOES_NOT_FIT = ("TMPRL1100", "Nondeterminism", "nondeterminism", "NON_DETERMINISTIC")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a run is asked for.

    `rate` is orders a second; without one, what the faults leave. With `follow` orders follow their
    parcels, of which some arrive and some come back.
    """

    seed: int
    orders: int
    kinds: frozenset[str]
    rate: float | None = None
    follow: bool = False
    defect: Defect | None = None

    @property
    def span(self) -> float:
        """Return how long the first round of faults takes, in seconds, as far as can be told."""
        return max(
            (
                sum(strike.lasts + 1 + _RESTART_TAKES for strike in _first(self, lane))
                for lane in Lane
            ),
            default=0.0,
        )

    @property
    def pace(self) -> float:
        """Return how many orders a second are placed, so that no fault comes after the last one."""
        if self.rate is not None:
            return self.rate
        return min(_FASTEST, self.orders / self.span) if self.span else _FASTEST


def _first(wanted: Wanted, lane: Lane) -> Iterator[Strike]:
    return islice(draw(wanted.seed, lane, wanted.kinds), first_round(wanted.kinds, lane))


@dataclass
class Watch:
    """What a run is doing now, for whoever watches."""

    tally: Tally = field(default_factory=Tally)
    played: int = 0
    struck: list[Struck] = field(default_factory=list)
    now: dict[Lane, str] = field(default_factory=dict)
    phase: str = "starting the stack"


class Run:
    """Orders and faults over a stack in `folder`, which is the run's alone."""

    def __init__(
        self, wanted: Wanted, folder: Path, watch: Watch, on_progress: ProgressCallback
    ) -> None:
        self._wanted = wanted
        self._folder = folder
        self._watch = watch
        self._on_progress = on_progress
        self._began = 0.0

    async def __call__(self) -> Report:
        """Return what the checker says, with the report's material; the stack is gone then."""
        started_at = datetime.now(UTC)
        async with self._scene() as (scene, load, temporal, client_log):
            faults = Faults(scene)
            self._began = time.time()
            self._watch.phase = "orders and faults"
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                lanes = [group.create_task(self._strike(faults, lane, stop)) for lane in Lane]
                if self._wanted.follow:
                    driver = Driver(scene.sandbox, self._wanted.seed)
                    group.create_task(driver.drive(stop))
                await load.play(
                    self._wanted.seed, self._wanted.orders, self._wanted.pace, self._count
                )
                load_lasted = self._now()
                stop.set()
                await asyncio.gather(*lanes)
            self._watch.phase = "mending what is broken"
            await faults.heal()
            last_fault = self._now()
            self._watch.phase = "waiting for the last orders"
            late = await self._see_them_end(scene, temporal, client_log)
            dumped = await self._dump(late, scene, temporal)
            self._watch.phase = "comparing the books"
            await reconcile(scene.dsn, temporal)
            await asyncio.sleep(_QUIET_SECONDS)
            found = await books.read(
                dsn=scene.dsn, sandbox=scene.sandbox, temporal=temporal, client_log=client_log
            )
            course = Course(
                seed=self._wanted.seed,
                orders=self._wanted.orders,
                defect=self._wanted.defect,
                follow=self._wanted.follow,
                faults=named(self._wanted.kinds),
                rate=self._wanted.rate,
                started_at=started_at,
                began=self._began,
                load_lasted=load_lasted,
                last_fault=last_fault,
                struck=self._watch.struck,
                answers=dict(self._watch.tally.answers),
                dumped=dumped,
                late=late,
                logged=self._lines_that_do_not_fit(),
            )
            return await tell(found, course, temporal)

    def _now(self) -> float:
        return round(time.time() - self._began, 3)

    def _count(self) -> None:
        self._watch.played += 1

    @asynccontextmanager
    async def _scene(self) -> AsyncIterator[tuple[Scene, Load, Client, Path]]:
        ports = Ports.free()
        async with AsyncExitStack() as stack_of:
            servers = {name: getattr(ports, name.partition("->")[2]) for name in LINKS}
            street = await stack_of.enter_async_context(Street(servers))
            options = StackOptions(
                settings=SETTINGS | (FOLLOWING if self._wanted.follow else {}),
                routes=street.ports,
                overrides=self._wanted.defect.overrides if self._wanted.defect else {},
            )
            stack = Stack(self._folder, ports, on_progress=self._on_progress, options=options)
            stack_of.push_async_callback(stack.stop)
            await stack.start()
            facts = StackFile(self._folder).read()
            temporal = await Client.connect(
                facts["temporal"]["address"], data_converter=pydantic_data_converter, lazy=True
            )
            gateway = f"http://127.0.0.1:{street.ports['client->gateway']}"
            http = await stack_of.enter_async_context(
                http_client.create_client(gateway, timeout=10, connections=200)
            )
            client_log = self._folder / "client.jsonl"
            client_journal = Journal(client_log)
            stack_of.push_async_callback(client_journal.close)
            load = Load(
                Caller(http, client_journal, self._watch.tally),
                sandbox=facts["sandbox"]["url"],
                temporal=temporal,
            )
            scene = Scene(
                stack=stack,
                folder=self._folder,
                street=street,
                sandbox=facts["sandbox"]["url"],
                dsn=facts["postgres"]["dsn"],
                storm=lambda number: load.storm(self._wanted.seed, number),
            )
            yield scene, load, temporal, client_log

    async def _strike(self, faults: Faults, lane: Lane, stop: asyncio.Event) -> None:
        """Carry out the lane's strikes, one after another, until the load is over.

        The first round is carried out even then: every wanted fault has been there.
        """
        strikes = draw(self._wanted.seed, lane, self._wanted.kinds)
        must = first_round(self._wanted.kinds, lane)
        for count, strike in enumerate(strikes, start=1):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, strike.at - self._now()))
            if stop.is_set() and count > must:
                break
            self._watch.now[lane] = f"{strike.kind} {strike.target}"
            self._watch.struck.append(await self._carry_out(faults, strike))
            self._watch.now[lane] = ""

    async def _carry_out(self, faults: Faults, strike: Strike) -> Struck:
        began = self._now()
        note = failed = None
        try:
            note = await faults.carry_out(strike)
        except FaultError as error:
            failed = str(error)
        return Struck(strike=strike, began=began, ended=self._now(), note=note, failed=failed)

    @staticmethod
    async def _see_them_end(scene: Scene, temporal: Client, client_log: Path) -> frozenset[str]:
        """Wait until nothing is under way any more; return the orders that do not end in time."""
        deadline = time.monotonic() + ENDS_WITHIN_SECONDS
        promised = await asyncio.to_thread(journal.promised_orders, client_log)
        while True:
            left = await stuck.unfinished(scene.dsn, promised)
            under_way = await stuck.open_workflows(temporal)
            if not left and not under_way:
                return frozenset()
            if time.monotonic() > deadline:
                return frozenset(left).union(stuck.orders_of(under_way))
            await asyncio.sleep(0.5)

    async def _dump(self, late: frozenset[str], scene: Scene, temporal: Client) -> tuple[str, ...]:
        """Write down why orders do not end, while it can be seen."""
        if not late:
            return ()
        folder = self._folder / "stuck"
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        return await stuck.dump(folder, late, dsn=scene.dsn, temporal=temporal)

    def _lines_that_do_not_fit(self) -> list[str]:
        return [
            line
            for log in sorted((self._folder / "logs").glob("*.log"))
            for line in log.read_text(errors="replace").splitlines()
            if any(sign in line for sign in _DOES_NOT_FIT)
        ]
