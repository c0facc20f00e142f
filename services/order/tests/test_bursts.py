"""More updates at once than Temporal allows: on the development server, which has its limits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from order_harness import FakePaymentService, Handle, OrderHarness, run_workers, until, waits_for
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.update.v1 import Input, Meta, Request
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionRequest
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.order import CancelOrder, OrderStatus, PlaceOrder, WaitingFor
from fuze_order.messages import Transition
from fuze_order.repository import OrderRepository

Order = Callable[..., PlaceOrder]


class InterruptedRepository(OrderRepository):
    """Calls `interrupt` after it has committed an event and before it returns, once for each."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.interrupt: Callable[[Transition], Awaitable[None]] | None = None

    async def record(self, transition: Transition) -> Transition:
        committed = await super().record(transition)
        interrupt, self.interrupt = self.interrupt, None
        if interrupt:
            await interrupt(committed)
        return committed


@pytest.fixture
async def repository(engine_of: Callable[[str], AsyncEngine]) -> InterruptedRepository:
    return InterruptedRepository(engine_of("order"))


@pytest.fixture
async def harness(
    dev_server: WorkflowEnvironment, repository: InterruptedRepository
) -> AsyncIterator[OrderHarness]:
    harness = OrderHarness(dev_server, repository._engine, FakePaymentService())
    harness.respond_at_once()
    async with run_workers(harness, repository):
        yield harness


async def send_cancellation(
    handle: Handle, *, rpc_timeout: timedelta, first_run_id: str = ""
) -> RPCError:
    """Send a cancellation without the client's retries; return the error."""
    client = handle._client
    request = UpdateWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=handle.id),
        first_execution_run_id=first_run_id,
        request=Request(meta=Meta(update_id=str(uuid4())), input=Input(name="cancel_order")),
    )
    arguments = await client.data_converter.encode([CancelOrder(actor="ada")])
    request.request.input.args.payloads.extend(arguments)
    with pytest.raises(RPCError) as failure:
        await client.workflow_service.update_workflow_execution(
            request, retry=False, timeout=rpc_timeout
        )
    return failure.value


async def test_a_cancelled_order_ends_although_the_server_forgets_the_cancellation(
    harness: OrderHarness, repository: InterruptedRepository, make_order: Order
) -> None:
    handle = await harness.place(make_order())
    await until(handle, waits_for(WaitingFor.APPROVAL))
    caller_has_given_up = asyncio.Event()

    async def interrupt(committed: Transition) -> None:
        assert committed.status is OrderStatus.CANCELLED
        await caller_has_given_up.wait()
        # As above its limit of updates in flight: any error makes the server forget the workflow's
        # speculative task, with the updates in it.
        error = await send_cancellation(
            handle, rpc_timeout=timedelta(seconds=1), first_run_id=str(uuid4())
        )
        assert error.status is RPCStatusCode.NOT_FOUND

    repository.interrupt = interrupt
    await send_cancellation(handle, rpc_timeout=timedelta(seconds=0.5))
    caller_has_given_up.set()

    async with asyncio.timeout(10):
        result = await handle.result()
    assert result.status is OrderStatus.CANCELLED
