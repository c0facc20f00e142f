"""The lifecycle of a worker process: connect, poll, drain on SIGTERM."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import stamina
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.worker import (
    PollerBehaviorAutoscaling,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerDeploymentConfig,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from fuze_runtime import health, metrics, temporal, temporal_check, versioning
from fuze_runtime.database_check import DatabaseReadiness, SchemaAccess, build_check
from fuze_runtime.failure_interceptor import UnexpectedErrorInterceptor
from fuze_runtime.settings import WorkerSettings
from fuze_runtime.temporal_check import TemporalError

_PASSTHROUGH_MODULES = ("fuze_contracts", "fuze_runtime", "pydantic", "pydantic_core")


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker runs.

    `activities` are bound methods. `background` runs beside the worker, and is cancelled with it:
    it keeps what the service needs in Temporal, such as a schedule. `access` is what the worker
    needs in PostgreSQL before it is ready. `read_gauges` returns its business metrics: all workers
    of a queue publish the same.
    """

    task_queue: str
    activities: Sequence[Callable[..., Any]]
    access: SchemaAccess
    workflows: Sequence[type] = ()
    background: Callable[[Client], Awaitable[None]] | None = None
    engine: AsyncEngine | None = None
    read_gauges: metrics.Read | None = None


async def run(settings: WorkerSettings, spec: WorkerSpec) -> None:
    """Run a worker until SIGTERM or SIGINT, then drain it.

    Its health endpoints answer from the start on. Draining stops polling at once and lets running
    activities finish within `shutdown_timeout`. The supervisor of the process must wait longer than
    that before it kills it.

    Raises:
        TemporalError: there was no Temporal, or no namespace, within `temporal_connect_timeout`.

    """
    log = structlog.get_logger(__name__)
    deployment = versioning.read_deployment(os.environ)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    readiness = _TemporalReadiness(spec.task_queue)
    database = DatabaseReadiness(build_check(settings, spec.access))
    checks: dict[str, health.Check] = {
        "temporal": health.CachedCheck(readiness, health.TEMPORAL_CHECK_AGE),
        "postgresql": health.CachedCheck(database, health.DATABASE_CHECK_AGE),
    }
    async with health.serve(settings.health_host, settings.health_port, checks):
        client = await _connect_until_stopped(stop, settings, readiness)
        if client is None:
            return
        version = deployment.version.to_canonical_string() if deployment else None
        log.info("worker started", task_queue=spec.task_queue, deployment_version=version)
        async with (
            create(client, settings, spec, deployment),
            _background(client, spec),
            _publish_gauges(client, settings, spec),
        ):
            await stop.wait()
            log.info("worker draining", seconds=settings.shutdown_timeout.total_seconds())
    log.info("worker stopped")


class _TemporalReadiness:
    """Whether Temporal has seen this process poll its task queue, or why it cannot."""

    def __init__(self, task_queue: str) -> None:
        self.task_queue = task_queue
        self.client: Client | None = None

    async def __call__(self) -> str | None:
        if self.client is None:
            return f"not connected to Temporal at {temporal.get_address()} (TEMPORAL_ADDRESS) yet"
        try:
            pollers = await temporal_check.find_pollers(self.client, self.task_queue)
        except TemporalError as problem:
            return str(problem)
        if self.client.identity not in pollers:
            return f"Temporal has not seen this worker poll the task queue {self.task_queue} yet"
        return None


async def _connect(settings: WorkerSettings, readiness: _TemporalReadiness) -> Client:
    """Return a client of the namespace, once both exist; both are retried for the same time."""
    began_at = time.monotonic()
    connect_timeout = settings.temporal_connect_timeout
    try:
        client = await temporal.connect(
            metrics_address=settings.metrics_address,
            connect_timeout=connect_timeout,
            compression=settings.temporal_compression,
            payload_keys=settings.payload_keys,
        )
    except RuntimeError as error:
        address = temporal.get_address()
        raise TemporalError(
            f"Temporal is unavailable at {address} (TEMPORAL_ADDRESS): {error}"
        ) from None
    readiness.client = client
    remaining = max(connect_timeout.total_seconds() - (time.monotonic() - began_at), 0.1)

    @stamina.retry(on=TemporalError, attempts=None, timeout=remaining, wait_max=2)
    async def wait_for_namespace() -> None:
        await temporal_check.find_pollers(client, readiness.task_queue)

    await wait_for_namespace()
    return client


async def _connect_until_stopped(
    stop: asyncio.Event, settings: WorkerSettings, readiness: _TemporalReadiness
) -> Client | None:
    connecting = asyncio.ensure_future(_connect(settings, readiness))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return await connecting if connecting.done() else None
    finally:
        connecting.cancel()
        stopping.cancel()


def workflow_runner(*, sandbox: bool) -> WorkflowRunner:
    """Return what runs workflows: in Temporal's sandbox, or as ordinary code.

    The sandbox imports the workflows' modules anew for each run, and refuses calls that are not
    deterministic. The replay tests run in it; see docs/explanation/adr/0020 for why workers do not.
    """
    if not sandbox:
        return UnsandboxedWorkflowRunner()
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*_PASSTHROUGH_MODULES)
    )


@asynccontextmanager
async def _background(client: Client, spec: WorkerSpec) -> AsyncIterator[None]:
    running = asyncio.ensure_future(spec.background(client)) if spec.background else None
    try:
        yield
    finally:
        if running:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def _publish_gauges(
    client: Client, settings: WorkerSettings, spec: WorkerSpec
) -> AbstractAsyncContextManager[None]:
    sources: list[tuple[metrics.Read, float]] = []
    if spec.engine:
        pool = metrics.EnginePool(spec.engine)

        async def read_pool() -> Sequence[metrics.Reading]:
            return metrics.read_pool(pool)

        sources.append((read_pool, metrics.PROCESS_INTERVAL))
    if spec.read_gauges:
        sources.append((spec.read_gauges, metrics.DATABASE_INTERVAL))
    return metrics.publish_gauges(
        metrics.get_meter(client), *sources, is_enabled=settings.metrics_address is not None
    )


def create(
    client: Client,
    settings: WorkerSettings,
    spec: WorkerSpec,
    deployment: WorkerDeploymentConfig | None = None,
) -> Worker:
    """Return a worker that is not running yet; without a deployment, one that has no version."""
    return Worker(
        client,
        task_queue=spec.task_queue,
        activities=spec.activities,
        workflows=spec.workflows,
        workflow_runner=workflow_runner(sandbox=settings.workflow_sandbox),
        max_cached_workflows=settings.max_cached_workflows,
        max_concurrent_workflow_tasks=settings.max_concurrent_workflow_tasks,
        max_concurrent_activities=settings.max_concurrent_activities,
        max_concurrent_local_activities=settings.max_concurrent_activities,
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        graceful_shutdown_timeout=settings.shutdown_timeout,
        deployment_config=deployment,
        interceptors=[UnexpectedErrorInterceptor()],
    )
