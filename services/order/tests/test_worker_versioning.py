"""Two versions of the order worker at once: an order ends on the version that it began on."""

import asyncio
from collections.abc import Callable

import pytest
from order_harness import (
    FakePaymentService,
    Handle,
    OrderHarness,
    build_order_worker,
    run_called_services,
    until,
    waits_for,
)
from patched_workflow import Change, PatchedWorkflow
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_states import OrderStatus, WaitingFor
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow
from fuze_runtime import versioning
from fuze_testing.temporal import start_dev_server

_OPEN_ORDERS = 20


async def test_an_order_ends_on_its_version_while_incompatible_ones_come_and_go(
    engine_of: Callable[[str], AsyncEngine],
    make_order: Callable[..., PlaceOrder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PatchedWorkflow, "change", Change.ADDED_STEP, raising=False)
    monkeypatch.setattr(PatchedWorkflow, "is_behind_patched", False, raising=False)
    engine = engine_of("order")
    # A server of its own: workers without a version get no tasks where a version is current.
    async with await start_dev_server() as server:
        harness = OrderHarness(server, engine, FakePaymentService())
        harness.respond_at_once()

        async def place_and_await_approval() -> Handle:
            order = await harness.place(make_order())
            await until(order, waits_for(WaitingFor.APPROVAL))
            return order

        async def approve(order: Handle) -> None:
            await order.signal(OrderWorkflow.approve)
            assert (await order.result()).status is OrderStatus.SHIPPED

        def build(build_id: str, definition: type[OrderWorkflow]) -> Worker:
            environment = {
                "TEMPORAL_DEPLOYMENT_NAME": "order",
                "TEMPORAL_WORKER_BUILD_ID": build_id,
            }
            return build_order_worker(
                harness,
                OrderRepository(engine),
                definition,
                versioning.read_deployment(environment),
            )

        async with run_called_services(harness), build("1", OrderWorkflow):
            await _set_current(server.client, "1")
            old = await asyncio.gather(*(place_and_await_approval() for _ in range(_OPEN_ORDERS)))
            async with build("2", PatchedWorkflow):
                await _set_current(server.client, "2")
                new = await place_and_await_approval()
                await asyncio.gather(*(approve(order) for order in old[1:]))
                await approve(new)
                await _set_current(server.client, "1")
                after_rollback = await place_and_await_approval()
                await asyncio.gather(approve(old[0]), approve(after_rollback))

        for order in (*old, after_rollback):
            assert await _get_versions(order) == {"1"}
        assert await _get_versions(new) == {"2"}


async def _set_current(client: Client, build_id: str) -> None:
    """Make the version current, once the server has seen one of its workers poll."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name="order", build_id=build_id
    )
    async with asyncio.timeout(20):
        while True:
            try:
                await client.workflow_service.set_worker_deployment_current_version(request)
            except RPCError:
                await asyncio.sleep(0.1)
            else:
                return


async def _get_versions(order: Handle) -> set[str]:
    """Return the versions that completed the order's workflow tasks, of which none failed."""
    events = (await order.fetch_history()).events
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in {event.event_type for event in events}
    return {
        event.workflow_task_completed_event_attributes.deployment_version.build_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    }
