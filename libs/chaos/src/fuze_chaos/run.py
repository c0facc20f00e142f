"""One run: a stack of its own, workload and faults together, quiescence, then the check."""

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

from fuze_chaos.checker import diagnostics, quiescence
from fuze_chaos.defects.defect import Defect
from fuze_chaos.endpoints.receivers import Receivers
from fuze_chaos.faults.catalog import (
    ENDPOINTS,
    PROXIED_CONNECTIONS,
    FaultError,
    InjectedFault,
    Lane,
    ScheduledFault,
    format_kinds,
)
from fuze_chaos.faults.endpoints import EndpointFaults
from fuze_chaos.faults.injector import Environment, FaultInjector
from fuze_chaos.faults.operators import OperatorFaults
from fuze_chaos.faults.schedule import build_schedule, first_round_length
from fuze_chaos.proxy.pool import ProxyPool
from fuze_chaos.report.builder import RunFacts, build_report
from fuze_chaos.report.report import Report
from fuze_chaos.snapshots.collector import collect
from fuze_chaos.workload.client import ResponseCounts, WorkloadClient
from fuze_chaos.workload.delivery_simulator import DeliverySimulator
from fuze_chaos.workload.request_log import RequestLog
from fuze_chaos.workload.workload import Workload
from fuze_devstack import http_client
from fuze_devstack.ports import Ports
from fuze_devstack.stack import Stack
from fuze_devstack.state import StackFile
from fuze_devstack.topology import StackOptions

SETTINGS = {
    "FUZE_APPROVAL_TIMEOUT": "20",
    "FUZE_APPROVAL_REMINDER_BEFORE": "10",
    "FUZE_PAYMENT_METHOD_TIMEOUT": "20",
    "FUZE_ADDRESS_TIMEOUT": "20",
    "FUZE_STEP_FAILURE_ALERT_AFTER": "15",
    "FUZE_SHIPS_TO": "US",
    "FUZE_AUTO_APPROVE_LIMITS": '{"USD": 1000}',
    "FUZE_PSP_TIMEOUT": "4",
    "FUZE_PAYMENT_LEASE": "8",
    "FUZE_PSP_SETTLE_WINDOW": "8",
    "FUZE_PSP_REVIEW_POLL_INTERVAL": "2",
    "FUZE_CARRIER_TIMEOUT": "4",
    "FUZE_RECONCILE_INTERVAL": "20",
    "FUZE_ORDER_RECONCILE_INTERVAL": "10",
    "FUZE_ORDER_RECONCILE_IDLE": "5",
    "FUZE_SHUTDOWN_TIMEOUT": "15",
    "FUZE_WEBHOOK_TIMEOUT": "4",
    "FUZE_WEBHOOK_RETRY_DELAYS": f"[1, 2, {', '.join(['4'] * 30)}]",
}
"""Deadlines of seconds instead of days, so that orders reach every final status within a run."""

DELIVERY_TRACKING_SETTINGS = {"FUZE_DELIVERY_TRACKING_PERIOD": "10"}

MAX_ACTIVITY_TIMEOUT_SECONDS = 30
MAX_RETRY_INTERVAL_SECONDS = 30
COMPLETION_TIMEOUT_SECONDS = MAX_ACTIVITY_TIMEOUT_SECONDS + MAX_RETRY_INTERVAL_SECONDS + 30
"""How long after the last fault every order has to be complete.

An attempt that the last fault made Temporal lose times out, the next one may be the longest retry
interval later, and then come the order's remaining steps.
"""

_MAX_RATE = 3.0
_ASSUMED_RESTART_SECONDS = 3.0
_NONDETERMINISM_SIGNS = ("TMPRL1100", "Nondeterminism", "nondeterminism", "NON_DETERMINISTIC")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What a run does.

    `rate` is in orders per second; without one, the orders are spread over the first round of
    faults. With `track_delivery`, orders track their parcels until delivery or return.
    """

    seed: int
    orders: int
    kinds: frozenset[str]
    rate: float | None = None
    track_delivery: bool = False
    defects: tuple[Defect, ...] = ()

    @property
    def order_rate(self) -> float:
        """Return the orders per second, low enough that the workload outlasts the first round."""
        if self.rate is not None:
            return self.rate
        estimate = max(self._estimate_first_round(lane) for lane in Lane)
        return min(_MAX_RATE, self.orders / estimate) if estimate else _MAX_RATE

    def _estimate_first_round(self, lane: Lane) -> float:
        faults = _first_round(self, lane)
        return sum(fault.duration + 1 + _ASSUMED_RESTART_SECONDS for fault in faults)


def _first_round(config: RunConfig, lane: Lane) -> Iterator[ScheduledFault]:
    schedule = build_schedule(config.seed, lane, config.kinds)
    return islice(schedule, first_round_length(config.kinds, lane))


@dataclass
class RunProgress:
    """The progress of a run, for a display in another thread."""

    responses: ResponseCounts = field(default_factory=ResponseCounts)
    finished_orders: int = 0
    faults: list[InjectedFault] = field(default_factory=list)
    active_faults: dict[Lane, str] = field(default_factory=dict)
    phase: str = "starting the stack"

    def count_finished_order(self) -> None:
        """Count one order all of whose actions are done."""
        self.finished_orders += 1


@dataclass(frozen=True, kw_only=True)
class _RunningStack:
    """A started stack, and everything that a run needs of it."""

    environment: Environment
    workload: Workload
    temporal: Client
    request_log: Path
    operator_log: Path
    receivers: Receivers


class Run:
    """A run of workload and faults against a stack in `folder`, which belongs to the run alone."""

    def __init__(self, config: RunConfig, folder: Path, progress: RunProgress) -> None:
        self._config = config
        self._folder = folder
        self._progress = progress
        self._started = 0.0

    async def __call__(self) -> Report:
        """Run everything, stop the stack, and return the report."""
        config, progress = self._config, self._progress
        started_at = datetime.now(UTC)
        async with self._start_stack() as stack:
            environment = stack.environment
            injector = FaultInjector(environment)
            self._started = time.time()
            progress.phase = "workload and faults"
            workload_ended = await self._run_workload_and_faults(stack, injector)
            progress.phase = "reverting faults"
            await injector.revert_all()
            await stack.workload.cancel_undecided_returns()
            last_fault_ended = self._elapsed()
            progress.phase = "waiting for the last orders"
            async with stack.workload.reviewing_late_charges():
                late = await quiescence.wait_for_orders(
                    dsn=environment.dsn,
                    temporal=stack.temporal,
                    request_log=stack.request_log,
                    seconds=COMPLETION_TIMEOUT_SECONDS,
                )
            diagnostic_files = await self._dump_diagnostics(late, stack)
            progress.phase = "checking the invariants"
            await quiescence.reconcile(environment.dsn, stack.temporal)
            await quiescence.wait_for_webhooks(environment.dsn, COMPLETION_TIMEOUT_SECONDS)
            snapshot = await collect(
                dsn=environment.dsn,
                sandbox=environment.sandbox,
                temporal=stack.temporal,
                request_log=stack.request_log,
                operator_log=stack.operator_log,
                webhook_records=stack.receivers.records,
            )
            facts = RunFacts(
                seed=config.seed,
                orders=config.orders,
                defects=config.defects,
                track_delivery=config.track_delivery,
                fault_kinds=format_kinds(config.kinds),
                rate=config.rate,
                started_at=started_at,
                started=self._started,
                workload_ended=workload_ended,
                last_fault_ended=last_fault_ended,
                faults=progress.faults,
                responses=dict(progress.responses.by_kind),
                diagnostics=diagnostic_files,
                late=late,
                logged_errors=self._find_nondeterminism(),
            )
            return await build_report(snapshot, facts, stack.temporal)

    @asynccontextmanager
    async def _start_stack(self) -> AsyncIterator[_RunningStack]:
        config = self._config
        ports = Ports.free()
        async with AsyncExitStack() as resources:
            servers = {
                name: getattr(ports, name.partition("->")[2]) for name in PROXIED_CONNECTIONS
            }
            proxies = await resources.enter_async_context(ProxyPool(servers))
            options = StackOptions(
                settings=SETTINGS | (DELIVERY_TRACKING_SETTINGS if config.track_delivery else {}),
                routes=proxies.ports,
                overrides={one.service: one.override for one in config.defects},
            )
            stack = Stack(self._folder, ports, on_progress=lambda *_: None, options=options)
            resources.push_async_callback(stack.stop)
            await stack.start()
            addresses = StackFile(self._folder).read()
            temporal = await Client.connect(
                addresses["temporal"]["address"], data_converter=pydantic_data_converter, lazy=True
            )
            gateway = f"http://127.0.0.1:{proxies.ports['client->gateway']}"
            http = await resources.enter_async_context(
                http_client.create_client(gateway, timeout=10, connections=200)
            )
            request_log, operator_log = (
                self._folder / name for name in ("client.jsonl", "operator.jsonl")
            )
            log, actions = RequestLog(request_log), RequestLog(operator_log)
            resources.push_async_callback(log.close)
            resources.push_async_callback(actions.close)
            receivers = Receivers(self._folder, http)
            resources.push_async_callback(receivers.stop)
            await receivers.create(ENDPOINTS)
            client = WorkloadClient(http, log, self._progress.responses)
            sandbox, dsn = addresses["sandbox"]["url"], addresses["postgres"]["dsn"]
            workload = Workload(client, sandbox=sandbox, temporal=temporal)
            environment = Environment(
                stack=stack,
                folder=self._folder,
                proxies=proxies,
                sandbox=sandbox,
                dsn=dsn,
                duplicate_burst=lambda number: workload.duplicate_burst(config.seed, number),
                operator=OperatorFaults(dsn=dsn, temporal=temporal, gateway=client, log=actions),
                endpoints=EndpointFaults(receivers, http),
            )
            yield _RunningStack(
                environment=environment,
                workload=workload,
                temporal=temporal,
                request_log=request_log,
                operator_log=operator_log,
                receivers=receivers,
            )

    async def _run_workload_and_faults(
        self, stack: _RunningStack, injector: FaultInjector
    ) -> float:
        """Return when the workload had ended."""
        config, stop = self._config, asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for lane in Lane:
                group.create_task(self._inject_faults(injector, lane, stop))
            if config.track_delivery:
                simulator = DeliverySimulator(stack.environment.sandbox, config.seed)
                group.create_task(simulator.run(stop))
            await stack.workload.run(
                config.seed,
                config.orders,
                config.order_rate,
                self._progress.count_finished_order,
            )
            workload_ended = self._elapsed()
            injector.shorten_waits_for_steps()
            stop.set()
        return workload_ended

    async def _inject_faults(
        self, injector: FaultInjector, lane: Lane, stop: asyncio.Event
    ) -> None:
        """Inject the faults of a lane until the workload has ended, at least the first round.

        Of the first round, those are left out that need an order when none is open any more.
        """
        schedule = build_schedule(self._config.seed, lane, self._config.kinds)
        first_round = first_round_length(self._config.kinds, lane)
        for count, fault in enumerate(schedule, start=1):
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, fault.at - self._elapsed()))
            if stop.is_set() and count > first_round:
                break
            if stop.is_set() and not await injector.has_target(fault):
                continue
            self._progress.active_faults[lane] = f"{fault.kind} {fault.target}"
            self._progress.faults.append(await self._inject(injector, fault))
            self._progress.active_faults[lane] = ""

    async def _inject(self, injector: FaultInjector, fault: ScheduledFault) -> InjectedFault:
        started = self._elapsed()
        note = failure = None
        try:
            note = await injector.inject(fault)
        except FaultError as error:
            failure = str(error)
        return InjectedFault(
            scheduled=fault, started=started, ended=self._elapsed(), note=note, error=failure
        )

    async def _dump_diagnostics(
        self, late: frozenset[str], stack: _RunningStack
    ) -> tuple[str, ...]:
        if not late:
            return ()
        folder = self._folder / "diagnostics"
        await asyncio.to_thread(folder.mkdir, exist_ok=True)
        return await diagnostics.dump(
            folder, late, dsn=stack.environment.dsn, temporal=stack.temporal
        )

    def _find_nondeterminism(self) -> list[str]:
        return [
            line
            for log in sorted((self._folder / "logs").glob("*.log"))
            for line in log.read_text(errors="replace").splitlines()
            if any(sign in line for sign in _NONDETERMINISM_SIGNS)
        ]

    def _elapsed(self) -> float:
        return round(time.time() - self._started, 3)
