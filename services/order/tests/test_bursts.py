"""More messages than Temporal allows: on the development server, which has its limits."""

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

from fuze_contracts.address import Address
from fuze_contracts.order import (
    ADDRESS_CHANGE_LIMIT,
    ALREADY_APPROVED,
    ALREADY_CANCELLED,
    TOO_LATE_TO_CHANGE_ADDRESS,
    CancelOrder,
    ChangeAddress,
    OrderSignal,
    PlaceOrder,
)
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.shipping import DeliveryStatus, DeliveryStatusChanged
from fuze_order.messages import Transition
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow
from fuze_testing.temporal import start_dev_server

Order = Callable[..., PlaceOrder]


class InterruptedRepository(OrderRepository):
    """Calls `interrupt` after it has committed an event and before it returns, once for each."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine)
        self.interrupt: Callable[[Transition], Awaitable[None]] | None = None

    async def record(self, *transitions: Transition) -> Transition:
        committed = await super().record(*transitions)
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


@pytest.fixture
async def server_of_few_signals() -> AsyncIterator[WorkflowEnvironment]:
    """A server that accepts ten signals to a workflow, where others accept ten thousand."""
    async with await start_dev_server(
        options=["--dynamic-config-value", "history.maximumSignalsPerExecution=10"]
    ) as environment:
        yield environment


async def test_a_returned_parcel_is_refunded_although_no_more_signals_are_accepted(
    server_of_few_signals: WorkflowEnvironment, repository: OrderRepository, make_order: Order
) -> None:
    order = make_order(delivery_tracking_period=timedelta(days=30), auto_approve_limit=10_000)
    harness = OrderHarness(server_of_few_signals, repository._engine, FakePaymentService())
    harness.respond_at_once()
    async with run_workers(harness, repository):
        handle = await harness.place(order)
        await until(handle, waits_for(WaitingFor.DELIVERY))
        for _ in range(10):
            await handle.signal(OrderWorkflow.cancel)
        with pytest.raises(RPCError, match="limit"):
            await handle.signal(OrderWorkflow.cancel)

        await handle.execute_update(
            OrderWorkflow.report_delivery_status,
            DeliveryStatusChanged(order_id=order.order_id, status=DeliveryStatus.RETURNED),
        )

        assert (await handle.result()).payment_status is PaymentStatus.REFUNDED


async def test_signals_are_dropped_where_the_order_says_so(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)
    sent = 0
    while not (
        why := await handle.query(OrderWorkflow.signal_rejection, OrderSignal.CHANGE_ADDRESS)
    ):
        await handle.signal(
            OrderWorkflow.change_address,
            ChangeAddress(address=Address(country="US", postal_code="94105")),
        )
        sent += 1

    await handle.signal(
        OrderWorkflow.change_address,
        ChangeAddress(address=Address(country="US", postal_code="60601")),
    )
    await handle.signal(OrderWorkflow.approve)
    result = await handle.result()

    assert why == ADDRESS_CHANGE_LIMIT
    assert (await harness.timeline(order.order_id)).count("address_changed") == sent
    assert "to-94105" in str(result.tracking_number)


async def test_an_order_says_which_signals_it_drops(
    harness: OrderHarness, make_order: Order
) -> None:
    handle = await harness.charging(make_order())

    answers = [await handle.query(OrderWorkflow.signal_rejection, signal) for signal in OrderSignal]
    await handle.signal(OrderWorkflow.cancel)
    once_cancelled = [
        await handle.query(OrderWorkflow.signal_rejection, signal) for signal in OrderSignal
    ]

    assert answers == [ALREADY_APPROVED, None, None]
    assert once_cancelled == [ALREADY_APPROVED, ALREADY_CANCELLED, TOO_LATE_TO_CHANGE_ADDRESS]
    await handle.result()
