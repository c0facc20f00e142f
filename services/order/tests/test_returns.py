"""Returns: from the request to the refund; the row decides, whatever happens to the run."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from order_harness import OrderHarness, run_workers
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

from fuze_contracts.money import Money
from fuze_contracts.order import ORDER_TASK_QUEUE, PlaceOrder
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.order_refunds import RefundReport
from fuze_contracts.order_states import EventType
from fuze_contracts.payment import RefundRejected, RefundRejection
from fuze_contracts.refund_allocation import RefundedLine, RefundLine
from fuze_contracts.returns import (
    ORDER_NOT_RETURNABLE,
    RETURN_STATUS_CONFLICT,
    ChangeReturn,
    RequestReturn,
    RequestReturnOutcome,
    ReturnAction,
    ReturnRefusal,
    ReturnRefused,
    ReturnSnapshot,
    ReturnStatus,
    ReturnWorkflow,
)
from fuze_contracts.workflow_ids import return_workflow_id
from fuze_order.messages import ReceiveOrder, ReconcileOrders, ReturnTransition
from fuze_order.reconciliation_workflow import ReconcileOrdersWorkflow
from fuze_order.refund_repository import RefundEventRepository
from fuze_order.repository import OrderRepository
from fuze_order.return_repository import ReturnRepository
from fuze_order.tables import events, orders, returns

Order = Callable[..., PlaceOrder]
Handle = WorkflowHandle[ReturnWorkflow, RequestReturnOutcome]

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("order")


@pytest.fixture
def repository(engine: AsyncEngine) -> ReturnRepository:
    return ReturnRepository(engine)


@pytest.fixture
async def shipped(engine: AsyncEngine, make_order: Order) -> PlaceOrder:
    """A shipped order of three teapots for 59.97 USD, and a warranty that has no parcel."""
    order = make_order(
        lines=(
            OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),
            OrderLine(sku="WARRANTY", quantity=1, unit_price_minor=0, requires_shipping=False),
        )
    )
    await OrderRepository(engine).create(ReceiveOrder(order=order, run_id="run", occurred_at=_NOW))
    await _set_order(engine, order, status="shipped", payment_status="charged")
    return order


async def _set_order(engine: AsyncEngine, order: PlaceOrder, **columns: object) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            sa.update(orders)
            .where(orders.c.id == order.order_id)
            .values(tracking_number="FZ1", **columns)
        )


def _request(order: PlaceOrder, quantity: int = 1, **changes: Any) -> RequestReturn:  # noqa: ANN401 - a message's fields
    fields: dict[str, Any] = {
        "order_id": order.order_id,
        "return_id": uuid4(),
        "lines": (RefundLine(line_id="1", quantity=quantity),),
        "reason": "does not fit",
        "actor": "ada",
    }
    return RequestReturn(**(fields | changes))


def _transition(request: RequestReturn, status: ReturnStatus, **changes: Any) -> ReturnTransition:  # noqa: ANN401 - a message's fields
    return ReturnTransition(
        order_id=request.order_id,
        return_id=request.return_id,
        status=status,
        actor="grace",
        occurred_at=_NOW,
        **changes,
    )


async def _status(engine: AsyncEngine, request: RequestReturn) -> str:
    query = sa.select(returns.c.status).where(returns.c.id == request.return_id)
    async with engine.connect() as connection:
        return str((await connection.execute(query)).scalar_one())


async def _events(engine: AsyncEngine, order_id: UUID) -> list[sa.Row[Any]]:
    query = sa.select(events).where(events.c.order_id == order_id).order_by(events.c.seq)
    async with engine.connect() as connection:
        return list(await connection.execute(query))


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


# The repository


async def test_a_return_is_stored_once_with_its_event(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    request = _request(shipped, 2)

    outcomes = await asyncio.gather(*(repository.request(request, _NOW) for _ in range(3)))

    assert {one.outcome for one in outcomes} == {"return"}
    _, requested = await _events(engine, shipped.order_id)
    assert (requested.type, requested.actor, requested.status) == (
        "return_requested",
        "ada",
        "shipped",
    )
    assert requested.details == {
        "return_id": str(request.return_id),
        "reason": "does not fit",
        "lines": [{"line_id": "1", "quantity": 2}],
    }


@pytest.mark.parametrize("read", ["_find", "_count_returnable"])
async def test_a_repeat_that_commits_between_two_reads_refuses_nothing(
    engine: AsyncEngine,
    repository: ReturnRepository,
    shipped: PlaceOrder,
    monkeypatch: pytest.MonkeyPatch,
    read: str,
) -> None:
    request = _request(shipped, 2)
    original = getattr(repository, read)

    async def read_before_the_repeat(*arguments: Any) -> Any:  # noqa: ANN401 - as of the method
        monkeypatch.undo()
        found = await original(*arguments)
        await ReturnRepository(engine).request(request, _NOW)
        return found

    monkeypatch.setattr(repository, read, read_before_the_repeat)

    assert (await repository.request(request, _NOW)).outcome == "return"


async def test_of_two_returns_of_the_last_unit_at_once_one_is_refused(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    await repository.request(_request(shipped, 2), _NOW)

    outcomes = await asyncio.gather(
        *(repository.request(_request(shipped, 1), _NOW) for _ in range(4))
    )

    refused = [one for one in outcomes if isinstance(one, ReturnRefused)]
    assert len(refused) == 3
    assert {(one.code, one.line_id, one.returnable) for one in refused} == {
        (ReturnRefusal.MORE_THAN_SHIPPED, "1", 0)
    }
    assert [one.seq for one in await _events(engine, shipped.order_id)] == [1, 2, 3]


@pytest.mark.parametrize("end", [ReturnStatus.REJECTED, ReturnStatus.CANCELLED])
async def test_the_units_of_a_return_that_ended_without_goods_can_be_returned_again(
    repository: ReturnRepository, shipped: PlaceOrder, end: ReturnStatus
) -> None:
    first = _request(shipped, 3)
    await repository.request(first, _NOW)
    await repository.change(_transition(first, end))

    assert isinstance(await repository.request(_request(shipped, 3), _NOW), ReturnSnapshot)


async def test_units_that_are_refunded_by_lines_cannot_be_returned_until_the_refund_fails(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    refund = RefundReport(
        order_id=shipped.order_id,
        refund_id=uuid4(),
        type=EventType.REFUND_REQUESTED,
        amount=Money(amount_minor=3998, currency="USD"),
        actor="grace",
        occurred_at=_NOW,
        lines=(RefundedLine(line_id="1", quantity=2, amount_minor=3998),),
    )
    await RefundEventRepository(engine).record(refund)
    refused = await repository.request(_request(shipped, 2), _NOW)
    assert isinstance(refused, ReturnRefused)
    assert refused.returnable == 1

    failed = refund.model_copy(update={"type": EventType.REFUND_FAILED})
    await RefundEventRepository(engine).record(failed)

    assert isinstance(await repository.request(_request(shipped, 2), _NOW), ReturnSnapshot)


@pytest.mark.parametrize("line_id", ["2", "unknown"], ids=["without a parcel", "unknown"])
async def test_a_line_that_was_not_shipped_cannot_be_returned(
    repository: ReturnRepository, shipped: PlaceOrder, line_id: str
) -> None:
    request = _request(shipped, lines=(RefundLine(line_id=line_id, quantity=1),))

    refused = await repository.request(request, _NOW)

    assert isinstance(refused, ReturnRefused)
    assert (refused.line_id, refused.returnable) == (line_id, 0)


async def test_shipping_costs_are_refunded_with_one_return(
    repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    first = _request(shipped, include_shipping=True)
    await repository.request(first, _NOW)
    refused = await repository.request(_request(shipped, include_shipping=True), _NOW)
    await repository.change(_transition(first, ReturnStatus.REJECTED))

    again = await repository.request(_request(shipped, include_shipping=True), _NOW)

    assert isinstance(refused, ReturnRefused)
    assert (refused.line_id, refused.returnable) == (None, 0)
    assert isinstance(again, ReturnSnapshot)


async def test_shipping_costs_that_are_refunded_cannot_be_refunded_with_a_return(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    refund = RefundReport(
        order_id=shipped.order_id,
        refund_id=uuid4(),
        type=EventType.REFUND_REQUESTED,
        amount=Money(amount_minor=499, currency="USD"),
        actor="grace",
        occurred_at=_NOW,
        lines=(RefundedLine(line_id=None, quantity=1, amount_minor=499),),
    )
    await RefundEventRepository(engine).record(refund)

    refused = await repository.request(_request(shipped, include_shipping=True), _NOW)

    assert isinstance(refused, ReturnRefused)
    assert refused.line_id is None


@pytest.mark.parametrize(
    ("status", "payment_status"),
    [("preparing", "charged"), ("returned", "refunding"), ("shipped", "refunded")],
)
async def test_an_order_without_parcel_or_money_takes_no_return(
    engine: AsyncEngine,
    repository: ReturnRepository,
    shipped: PlaceOrder,
    status: str,
    payment_status: str,
) -> None:
    await _set_order(engine, shipped, status=status, payment_status=payment_status)

    refused = await repository.request(_request(shipped), _NOW)

    assert isinstance(refused, ReturnRefused)
    assert refused.code is ReturnRefusal.ORDER_NOT_RETURNABLE


async def test_an_approval_and_a_cancellation_at_once_are_each_recorded_at_most_once(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    request = _request(shipped)
    await repository.request(request, _NOW)

    await asyncio.gather(
        *(
            repository.change(_transition(request, status))
            for status in (ReturnStatus.APPROVED, ReturnStatus.CANCELLED, ReturnStatus.CANCELLED)
        )
    )

    recorded = [one.type for one in await _events(engine, shipped.order_id)][2:]
    assert await _status(engine, request) == "cancelled"
    assert recorded in (["return_cancelled"], ["return_approved", "return_cancelled"])


async def test_a_return_is_not_received_once_the_carrier_has_returned_the_parcel(
    engine: AsyncEngine, repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    request = _request(shipped)
    await repository.request(request, _NOW)
    await _set_order(engine, shipped, status="returned", payment_status="refunding")

    assert await repository.change(_transition(request, ReturnStatus.APPROVED)) is None
    cancelled = await repository.change(_transition(request, ReturnStatus.CANCELLED))
    assert cancelled is not None
    assert cancelled.status is ReturnStatus.CANCELLED


async def test_a_change_of_an_unknown_return_is_retried(
    repository: ReturnRepository, shipped: PlaceOrder
) -> None:
    with pytest.raises(LookupError, match="retry"):
        await repository.change(_transition(_request(shipped), ReturnStatus.APPROVED))


# The workflow


async def test_a_received_return_is_refunded_once_by_its_lines(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    request = _request(shipped, 2)
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
    assert await harness.timeline(shipped.order_id) == [
        "order_received",
        "return_requested",
        "return_approved",
        "return_received",
        "return_refunded",
    ]
    last = (await _events(engine, shipped.order_id))[-1]
    assert (last.details["amount_minor"], last.details["currency"]) == (3998, "USD")


async def test_a_return_that_is_refused_ends_and_may_be_requested_again(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    await _set_order(engine, shipped, status="preparing")
    request = _request(shipped)
    refused = await (await _open(harness, request)).result()
    assert isinstance(refused, ReturnRefused)

    await _set_order(engine, shipped, status="shipped")

    await _open(harness, request)
    assert await _status(engine, request) == "requested"


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
    request = _request(shipped)
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
    request = _request(shipped)
    await _open(harness, request)
    await _set_order(engine, shipped, status="returned", payment_status="refunding")

    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await _change(harness, request, ReturnAction.APPROVE)

    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == ORDER_NOT_RETURNABLE


async def test_a_refund_of_what_is_refunded_already_fails_and_needs_attention(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    request = _request(shipped)
    harness.payments.refund_outcome = RefundRejected(
        refund_id=request.return_id, code=RefundRejection.MORE_THAN_CHARGED
    )
    handle = await _open(harness, request)
    await _change(harness, request, ReturnAction.APPROVE)
    await _change(harness, request, ReturnAction.RECEIVE)

    await handle.result()

    assert await _status(engine, request) == "refund_failed"
    async with engine.connect() as connection:
        query = sa.select(orders.c.needs_attention).where(orders.c.id == shipped.order_id)
        assert (await connection.execute(query)).scalar_one()
    assert (await _events(engine, shipped.order_id))[-1].details["code"] == "more_than_charged"


async def test_a_return_of_lines_that_cost_nothing_is_refunded_with_nothing(
    harness: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder
) -> None:
    request = _request(shipped)
    harness.payments.refund_outcome = RefundRejected(
        refund_id=request.return_id, code=RefundRejection.AMOUNT_INVALID
    )
    handle = await _open(harness, request)
    await _change(harness, request, ReturnAction.APPROVE)
    await _change(harness, request, ReturnAction.RECEIVE)

    await handle.result()

    assert await _status(engine, request) == "refunded"
    assert (await _events(engine, shipped.order_id))[-1].details["amount_minor"] == 0


@pytest.mark.parametrize("steps", [1, 2, 3], ids=["requested", "approved", "refunded"])
async def test_a_reset_to_the_start_continues_from_the_row(
    without_workers: OrderHarness, engine: AsyncEngine, shipped: PlaceOrder, steps: int
) -> None:
    harness, request = without_workers, _request(shipped)
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

    assert await _status(engine, request) == "refunded"
    assert [one.type for one in await _events(engine, shipped.order_id)][1:] == [
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
    request = _request(shipped)
    for action in (ReturnAction.APPROVE, ReturnAction.RECEIVE):
        await (await _open(harness, request)).terminate()
        await _change(harness, request, action)

    await (await _open(harness, request)).result()

    assert await _status(engine, request) == "refunded"


async def test_a_received_return_without_a_workflow_is_resumed_by_the_reconciliation(
    without_workers: OrderHarness,
    engine: AsyncEngine,
    repository: ReturnRepository,
    shipped: PlaceOrder,
) -> None:
    harness, request = without_workers, _request(shipped)
    await repository.request(request, _NOW)
    await repository.change(_transition(request, ReturnStatus.APPROVED))
    await repository.change(_transition(request, ReturnStatus.RECEIVED))

    async with run_workers(harness, OrderRepository(engine)):
        await harness.environment.client.execute_workflow(
            ReconcileOrdersWorkflow.run,
            ReconcileOrders(look_back=timedelta(hours=1), idle_for=timedelta(0)),
            id=f"reconcile-{uuid4()}",
            task_queue=ORDER_TASK_QUEUE,
        )
        resumed = return_workflow_id(request.order_id, request.return_id)
        await harness.environment.client.get_workflow_handle(resumed).result()

    assert await _status(engine, request) == "refunded"
    assert harness.payments.refunds[request.return_id].lines == request.lines
