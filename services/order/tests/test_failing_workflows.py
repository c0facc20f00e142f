"""Orders whose workflow task fails, as after a bad deployment, are found."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from order_harness import FakePaymentService, Handle, OrderHarness, run_workers, until, waits_for
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import workflow
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.order import ORDER_TASK_QUEUE, OrderResult, PlaceOrder
from fuze_contracts.order_states import WaitingFor
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_order.messages import OpenOrdersResult
from fuze_order.reconciliation import OpenOrderComparison
from fuze_order.reconciliation_repository import ReconciliationRepository
from fuze_order.repository import OrderRepository
from fuze_order.tables import orders
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]

_AT_ONCE = timedelta(milliseconds=1)


@workflow.defn(name="OrderWorkflow")
class BrokenWorkflow(OrderWorkflow):
    """The order's workflow after a bad deployment."""

    @workflow.init
    def __init__(self, command: PlaceOrder) -> None:
        super().__init__(command)

    @workflow.run
    async def run(self, command: PlaceOrder) -> OrderResult:
        raise RuntimeError(f"a bad deployment stops {command.order_id}")


@pytest.fixture
async def harness(
    dev_server: WorkflowEnvironment, engine_of: Callable[[str], AsyncEngine]
) -> AsyncIterator[OrderHarness]:
    harness = OrderHarness(dev_server, engine_of("order"), FakePaymentService())
    harness.respond_at_once()
    return harness


def workers(
    harness: OrderHarness, definition: type[OrderWorkflow] = OrderWorkflow
) -> AbstractAsyncContextManager[OrderHarness]:
    return run_workers(harness, OrderRepository(harness.engine), definition)


async def compare(harness: OrderHarness) -> OpenOrdersResult:
    comparison = OpenOrderComparison(ReconciliationRepository(harness.engine))
    return await comparison.compare(harness.environment.client, idle_for=_AT_ONCE)


async def break_workflow(harness: OrderHarness, order: PlaceOrder) -> Handle:
    """Let the order wait for its approval, and its next workflow task fail."""
    async with workers(harness):
        handle = await harness.environment.client.start_workflow(
            OrderWorkflow.run,
            order,
            id=order_workflow_id(order.order_id),
            task_queue=ORDER_TASK_QUEUE,
            task_timeout=timedelta(seconds=1),  # after which a failing task is retried
        )
        await until(handle, waits_for(WaitingFor.APPROVAL))
    await handle.signal(OrderWorkflow.recheck_shipment)  # without effect before a shipment
    async with workers(harness, BrokenWorkflow):
        await until_compared(harness, failing=True)
    return handle


async def until_compared(harness: OrderHarness, *, failing: bool) -> None:
    """Wait until Temporal reports a failing workflow, or none."""
    async with asyncio.timeout(20):
        while bool((await compare(harness)).failing) is not failing:
            await asyncio.sleep(0.05)


async def read_flags(harness: OrderHarness, order: PlaceOrder) -> tuple[datetime | None, bool]:
    query = sa.select(orders.c.workflow_failing_since, orders.c.needs_attention).where(
        orders.c.id == order.order_id
    )
    async with harness.engine.connect() as connection:
        row = (await connection.execute(query)).one()
    return row.workflow_failing_since, row.needs_attention


async def unflag(
    harness: OrderHarness, order: PlaceOrder, *, needs_attention: bool = False
) -> None:
    change = (
        sa.update(orders)
        .where(orders.c.id == order.order_id)
        .values(needs_attention=needs_attention, workflow_failing_since=None)
    )
    async with harness.engine.begin() as connection:
        await connection.execute(change)


async def test_an_order_whose_workflow_task_keeps_failing_needs_attention(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    await break_workflow(harness, order)

    noticed, needs_attention = await read_flags(harness, order)

    assert (noticed is None, needs_attention) == (False, True)


class FailingOnce(ReconciliationRepository):
    """Fails in the first update."""

    has_failed = False

    async def update_failing(self, failing: Collection[UUID]) -> None:
        if not self.has_failed:
            self.has_failed = True
            raise RuntimeError("an error that is not expected")
        await super().update_failing(failing)


async def test_a_worker_flags_failing_orders_between_two_comparisons_whatever_fails(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    await break_workflow(harness, order)
    await unflag(harness, order)
    comparison = OpenOrderComparison(FailingOnce(harness.engine))

    flagging = asyncio.create_task(
        comparison.keep_failing_flagged(harness.environment.client, _AT_ONCE)
    )

    async with asyncio.timeout(20):
        while not (await read_flags(harness, order))[1]:
            assert not flagging.done()
            await asyncio.sleep(0.02)
    flagging.cancel()


async def test_an_order_needs_no_attention_once_its_workflow_task_succeeds(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    await break_workflow(harness, order)
    await compare(harness)

    async with workers(harness):
        await until_compared(harness, failing=False)

    assert await read_flags(harness, order) == (None, False)
    assert await harness.row_status(order.order_id) == "awaiting_approval"


async def test_the_next_event_of_an_order_shows_that_its_workflow_no_longer_fails(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await break_workflow(harness, order)
    await compare(harness)
    await handle.signal(OrderWorkflow.approve)

    async with workers(harness):
        await handle.result()

    assert await read_flags(harness, order) == (None, False)


async def test_an_order_that_a_failing_step_flagged_keeps_its_flag(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    await break_workflow(harness, order)
    await unflag(harness, order, needs_attention=True)  # as the event `needs_attention` does
    await compare(harness)

    async with workers(harness):
        await until_compared(harness, failing=False)

    assert await read_flags(harness, order) == (None, True)


async def test_a_workflow_with_an_unknown_id_does_not_stop_the_comparison(
    harness: OrderHarness, make_order: Order
) -> None:
    client = harness.environment.client
    async with workers(harness, BrokenWorkflow):
        unknown = await client.start_workflow(
            OrderWorkflow.run, make_order(), id="order/not-a-uuid", task_queue=ORDER_TASK_QUEUE
        )
        async with asyncio.timeout(20):
            listed = 'WorkflowId = "order/not-a-uuid" AND TemporalReportedProblems IS NOT NULL'
            while not (await client.count_workflows(listed)).count:
                await asyncio.sleep(0.05)

    result = await compare(harness)
    await unknown.terminate()

    assert result.failing == 0
