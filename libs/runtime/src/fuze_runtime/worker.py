"""The lifecycle of a worker process: connect, poll, drain on SIGTERM."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import (
    PollerBehaviorAutoscaling,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from fuze_runtime import health, metrics, temporal
from fuze_runtime.failure_interceptor import UnexpectedErrorInterceptor
from fuze_runtime.settings import WorkerSettings

_PASSTHROUGH_MODULES = ("fuze_contracts", "fuze_runtime", "pydantic", "pydantic_core")
_RPC_TIMEOUT = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class WorkerSpec:
    """What a worker runs.

    `activities` are bound methods. `background` runs beside the worker, and is cancelled with it:
    it keeps what the service needs in Temporal, such as a schedule. `read_gauges` returns its
    business metrics: all workers of a queue publish the same.
    """

    task_queue: str
    activities: Sequence[Callable[..., Any]]
    workflows: Sequence[type] = ()
    background: Callable[[Client], Awaitable[None]] | None = None
    engine: AsyncEngine | None = None
    read_gauges: metrics.Read | None = None


async def run(settings: WorkerSettings, spec: WorkerSpec) -> None:
    """Run a worker until SIGTERM or SIGINT, then drain it.

    Draining stops polling at once and lets running activities finish within `shutdown_timeout`.
    The supervisor of the process must wait longer than that before it kills it.
    """
    log = structlog.get_logger(__name__)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    client = await _connect_until_stopped(stop, settings)
    if client is None:
        return

    async def check_polling() -> str | None:
        return await _readiness_error(client, spec.task_queue)

    async with health.serve(
        settings.health_host, settings.health_port, {"temporal": check_polling}
    ):
        log.info("worker started", task_queue=spec.task_queue)
        async with (
            create(client, settings, spec),
            _background(client, spec),
            _publish_gauges(client, settings, spec),
        ):
            await stop.wait()
            log.info("worker draining", seconds=settings.shutdown_timeout.total_seconds())
    log.info("worker stopped")


async def _connect_until_stopped(stop: asyncio.Event, settings: WorkerSettings) -> Client | None:
    connecting = asyncio.ensure_future(
        temporal.connect(
            metrics_address=settings.metrics_address,
            connect_timeout=settings.temporal_connect_timeout,
            compression=settings.temporal_compression,
        )
    )
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
    deterministic. The replay tests run in it; see docs/adr/0020 for why workers do not.
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


def create(client: Client, settings: WorkerSettings, spec: WorkerSpec) -> Worker:
    """Return a worker that is not running yet."""
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
        interceptors=[UnexpectedErrorInterceptor()],
    )


async def _readiness_error(client: Client, task_queue: str) -> str | None:
    """Return why the worker is not ready, or None: Temporal must have seen this process poll."""
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=task_queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    )
    try:
        response = await client.workflow_service.describe_task_queue(request, timeout=_RPC_TIMEOUT)
    except RPCError as error:
        return f"Temporal is unavailable: {error.message}"
    if client.identity not in {poller.identity for poller in response.pollers}:
        return "Temporal has not seen this worker poll"
    return None
