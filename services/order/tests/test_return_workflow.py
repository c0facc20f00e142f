"""The workflow of a return: the row decides, whatever happens to the run."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from order_harness import OrderHarness, run_workers
from return_harness import (
    NOW,
    create_shipped,
    read_events,
    read_status,
    request_return,
    set_order,
    transition,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType as Recorded
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import (
    WithStartWorkflowOperation,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

from fuze_contracts.order import ORDER_TASK_QUEUE, PlaceOrder
from fuze_contracts.payment import RefundRejected, RefundRejection
from fuze_contracts.returns import (
    ORDER_NOT_RETURNABLE,
    RETURN_STATUS_CONFLICT,
    ChangeReturn,
    RequestReturn,
    RequestReturnOutcome,
    ReturnAction,
    ReturnRefused,
    ReturnSnapshot,
    ReturnStatus,
    ReturnWorkflow,
)
from fuze_contracts.workflow_ids import return_workflow_id
from fuze_order.messages import ReconcileOrders
from fuze_order.reconciliation_workflow import ReconcileOrdersWorkflow
from fuze_order.repository import OrderRepository
from fuze_order.return_repository import ReturnRepository
from fuze_order.tables import orders

Handle = WorkflowHandle[ReturnWorkflow, RequestReturnOutcome]
Order = Callable[..., PlaceOrder]


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("order")


@pytest.fixture
async def shipped(engine: AsyncEngine, make_order: Order) -> PlaceOrder:
    return await create_shipped(engine, make_order)


def _start(request: RequestReturn) -> WithStartWorkflowOperation[ReturnWorkflow, Any]:
    return WithStartWorkflowOperation(
        ReturnWorkflow.run,
        request,
        id=return_workflow_id(request.order_id, request.return_id),
        task_queue=ORDER_TASK_QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )


async def _open(harness: OrderHarness, request: RequestReturn) -> Handle:
    start = _start(request)
    await harness.environment.client.execute_update_with_start_workflow(
        ReturnWorkflow.get_request_outcome, start_workflow_operation=start
    )
    return await start.workflow_handle()


async def _change(
    harness: OrderHarness, request: RequestReturn, action: ReturnAction
) -> ReturnSnapshot:
    """Change the return as the gateway does: its workflow is started again if it is missing."""
    return await harness.environment.client.execute_update_with_start_workflow(
        ReturnWorkflow.change,
        ChangeReturn(action=action, actor="grace"),
        start_workflow_operation=_start(request),
    )


async def test_a_received_return_is_refunded_once_by_its_lines(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    request = request_return(shipped, 2)
    handle = await _open(harness, request)
    await _change(harness, request, ReturnAction.APPROVE)
    received = await _change(harness, request, ReturnAction.RECEIVE)

    result = await handle.result()

    assert received.status is ReturnStatus.RECEIVED
    assert isinstance(result, ReturnSnapshot)
    assert result.status is ReturnStatus.REFUNDED
    refund = harness.payments.refunds[request.return_id]
    assert (refund.payment_token, refund.actor, refund.reason) == (
        shipped.payment_token,
        "grace",
        "does not fit",
    )
    assert refund.up_to_left
    assert await harness.timeline(shipped.order_id) == [
        "order_received",
        "order_validated",
        "return_requested",
        "return_approved",
        "return_received",
        "return_refunded",
    ]
    last = (await read_events(engine, shipped.order_id))[-1]
    assert (last.details["amount_minor"], last.details["currency"]) == (3998, "USD")


async def test_a_return_that_is_refused_ends_and_may_be_requested_again(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    await set_order(engine, shipped, status="preparing")
    request = request_return(shipped)
    refused = await (await _open(harness, request)).result()
    assert isinstance(refused, ReturnRefused)

    await set_order(engine, shipped, status="shipped")

    await _open(harness, request)
    assert await read_status(engine, request) == "requested"


@pytest.mark.parametrize(
    ("before", "action"),
    [
        ([], ReturnAction.RECEIVE),
        ([ReturnAction.APPROVE], ReturnAction.REJECT),
        ([ReturnAction.APPROVE], ReturnAction.APPROVE),
        ([ReturnAction.REJECT], ReturnAction.APPROVE),
        ([ReturnAction.CANCEL], ReturnAction.CANCEL),
    ],
    ids=str,
)
async def test_an_action_that_does_not_fit_the_status_is_refused(
    harness: OrderHarness,
    shipped: PlaceOrder,
    before: list[ReturnAction],
    action: ReturnAction,
) -> None:
    request = request_return(shipped)
    await _open(harness, request)
    for one in before:
        await _change(harness, request, one)

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await _change(harness, request, action)

    cause = failed.value.cause
    assert isinstance(cause, ApplicationError)
    expected = before[-1].status if before else ReturnStatus.REQUESTED
    assert (cause.type, cause.message) == (RETURN_STATUS_CONFLICT, expected.value)


async def test_a_return_of_a_parcel_that_the_carrier_returned_says_so(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    request = request_return(shipped)
    await _open(harness, request)
    await set_order(engine, shipped, status="returned", payment_status="refunding")

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await _change(harness, request, ReturnAction.APPROVE)

    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == ORDER_NOT_RETURNABLE


async def test_a_refund_that_is_rejected_fails_the_return_and_needs_attention(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    request = request_return(shipped)
    harness.payments.refund_outcome = RefundRejected(
        refund_id=request.return_id, code="card_closed"
    )
    handle = await _open(harness, request)
    await _change(harness, request, ReturnAction.APPROVE)
    await _change(harness, request, ReturnAction.RECEIVE)

    await handle.result()

    assert await read_status(engine, request) == "refund_failed"
    async with engine.connect() as connection:
        query = sa.select(orders.c.needs_attention).where(orders.c.id == shipped.order_id)
        assert (await connection.execute(query)).scalar_one()
    assert (await read_events(engine, shipped.order_id))[-1].details["code"] == "card_closed"


async def test_a_return_of_lines_that_cost_nothing_is_refunded_with_nothing(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    request = request_return(shipped)
    harness.payments.refund_outcome = RefundRejected(
        refund_id=request.return_id, code=RefundRejection.AMOUNT_INVALID
    )
    handle = await _open(harness, request)
    await _change(harness, request, ReturnAction.APPROVE)
    await _change(harness, request, ReturnAction.RECEIVE)

    await handle.result()

    assert await read_status(engine, request) == "refunded"
    assert (await read_events(engine, shipped.order_id))[-1].details["amount_minor"] == 0


@pytest.mark.parametrize("steps", [1, 2, 3], ids=["requested", "approved", "refunded"])
async def test_a_reset_to_the_start_continues_from_the_row(
    without_workers: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder, steps: int
) -> None:
    harness, request = without_workers, request_return(shipped)
    actions = [ReturnAction.APPROVE, ReturnAction.RECEIVE]
    async with run_workers(harness, OrderRepository(engine)):
        handle = await _open(harness, request)
        for action in actions[: steps - 1]:
            await _change(harness, request, action)
        if steps == 3:
            await handle.result()
        await _reset_to_start(handle)

        for action in actions[steps - 1 :]:
            await _change(harness, request, action)
        client = harness.environment.client
        async with asyncio.timeout(20):
            await client.get_workflow_handle_for(ReturnWorkflow.run, handle.id).result()

    assert await read_status(engine, request) == "refunded"
    assert [one.type for one in await read_events(engine, shipped.order_id)][2:] == [
        "return_requested",
        "return_approved",
        "return_received",
        "return_refunded",
    ]
    assert list(harness.payments.refunds) == [request.return_id]


async def _reset_to_start(handle: Handle) -> None:
    history = await handle.fetch_history()
    first = next(
        event.event_id
        for event in history.events
        if event.event_type == Recorded.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    client = handle._client
    await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            workflow_task_finish_event_id=first,
            request_id=str(uuid4()),
            reason="a test",
            reset_reapply_exclude_types=[1, 2],
        )
    )


async def test_a_return_whose_workflow_was_terminated_continues_with_the_next_action(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    request = request_return(shipped)
    for action in (ReturnAction.APPROVE, ReturnAction.RECEIVE):
        await (await _open(harness, request)).terminate()
        await _change(harness, request, action)

    await (await _open(harness, request)).result()

    assert await read_status(engine, request) == "refunded"


async def test_a_received_return_without_a_workflow_is_resumed_by_the_reconciliation(
    without_workers: OrderHarness,
    engine: AsyncEngine,
    shipped: PlaceOrder,
) -> None:
    harness, request = without_workers, request_return(shipped)
    repository = ReturnRepository(engine)
    await repository.request(request, NOW)
    await repository.change(transition(request, ReturnStatus.APPROVED))
    await repository.change(transition(request, ReturnStatus.RECEIVED))

    async with run_workers(harness, OrderRepository(engine)):
        await harness.environment.client.execute_workflow(
            ReconcileOrdersWorkflow.run,
            ReconcileOrders(look_back=timedelta(hours=1), idle_for=timedelta(0)),
            id=f"reconcile-{uuid4()}",
            task_queue=ORDER_TASK_QUEUE,
        )
        resumed = return_workflow_id(request.order_id, request.return_id)
        await harness.environment.client.get_workflow_handle(resumed).result()

    assert await read_status(engine, request) == "refunded"
    assert harness.payments.refunds[request.return_id].lines == request.lines
