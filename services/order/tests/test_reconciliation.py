"""Orders that no workflow, payment or shipment agrees with are found, and repaired."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from order_harness import Handle, OrderHarness, run_workers, until, waits_for
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest

from fuze_contracts.money import Money
from fuze_contracts.order import ORDER_TASK_QUEUE, CancelOrder, OrderWorkflow, PlaceOrder, Recovery
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.payment import ChargePayment
from fuze_order import reconciliation_repository
from fuze_order.messages import EndedOrdersPage, ReconcileOrders, ReconcileOrdersResult
from fuze_order.reconciliation_workflow import ReconcileOrdersWorkflow
from fuze_order.repository import OrderRepository
from fuze_order.tables import discrepancies, orders

Order = Callable[..., PlaceOrder]

_AT_ONCE = timedelta(milliseconds=1)


@pytest.fixture
async def harness(without_workers: OrderHarness) -> AsyncIterator[OrderHarness]:
    async with run_workers(without_workers, OrderRepository(without_workers.engine)):
        yield without_workers


async def reconcile(
    harness: OrderHarness, look_back: timedelta = timedelta(minutes=10)
) -> ReconcileOrdersResult:
    return await harness.environment.client.execute_workflow(
        ReconcileOrdersWorkflow.run,
        ReconcileOrders(look_back=look_back, idle_for=_AT_ONCE),
        id=f"reconcile-orders-{uuid4()}",
        task_queue=ORDER_TASK_QUEUE,
    )


async def awaiting_approval(harness: OrderHarness, order: PlaceOrder) -> Handle:
    handle = await harness.place(order)
    await until(handle, waits_for(WaitingFor.APPROVAL))
    return handle


async def cancelled(harness: OrderHarness, order: PlaceOrder) -> None:
    handle = await awaiting_approval(harness, order)
    await handle.signal(OrderWorkflow.cancel, CancelOrder(actor="ada"))
    await handle.result()


async def preparing(harness: OrderHarness, order: PlaceOrder) -> Handle:
    handle = await harness.preparing(order)
    await until(handle, waits_for(WaitingFor.SHIPPING))
    async with asyncio.timeout(20):
        while order.order_id not in harness.shipping.addresses:
            await asyncio.sleep(0.02)
    return handle


async def recover(
    harness: OrderHarness, order: PlaceOrder, cancellation: CancelOrder | None = None
) -> Handle:
    """Start the order's workflow from its row, as the gateway does."""
    recovery = Recovery(actor="grace", received_at=datetime.now(UTC), cancellation=cancellation)
    return await harness.place(order.model_copy(update={"recovery": recovery}))


async def find_missing(harness: OrderHarness) -> set[UUID]:
    query = sa.select(orders.c.id).where(
        orders.c.workflow_missing_at.is_not(None), orders.c.needs_attention
    )
    async with harness.engine.connect() as connection:
        return set((await connection.execute(query)).scalars())


async def find_discrepancies(harness: OrderHarness, order_id: UUID) -> dict[str, bool]:
    """Return the kinds of the order's discrepancies, and whether each is resolved."""
    query = sa.select(discrepancies).where(discrepancies.c.order_id == order_id)
    async with harness.engine.connect() as connection:
        rows = (await connection.execute(query)).all()
    return {row.kind: row.resolved_at is not None for row in rows}


async def test_an_order_whose_workflow_is_terminated_is_flagged(
    harness: OrderHarness, make_order: Order
) -> None:
    terminated, running = make_order(), make_order()
    handle = await awaiting_approval(harness, terminated)
    await awaiting_approval(harness, running)
    await handle.terminate("by mistake")

    result = await reconcile(harness)

    missing = await find_missing(harness)
    assert terminated.order_id in missing
    assert running.order_id not in missing
    assert result.open.missing > 0


async def test_an_order_whose_workflow_is_deleted_is_flagged(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await awaiting_approval(harness, order)
    client = harness.environment.client
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
        )
    )

    async with asyncio.timeout(20):  # the server deletes in the background
        while order.order_id not in await find_missing(harness):
            await reconcile(harness)


async def test_a_recovered_order_goes_on_from_its_row(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await awaiting_approval(harness, order)
    await handle.terminate("by mistake")
    await reconcile(harness)

    recovered = await recover(harness, order)
    await until(recovered, waits_for(WaitingFor.APPROVAL))
    await recovered.signal(OrderWorkflow.approve)
    result = await recovered.result()

    assert result.status is OrderStatus.SHIPPED
    assert await harness.timeline(order.order_id) == [
        "order_received",
        "order_validated",
        "order_recovered",
        "order_approved",
        "payment_charged",
        "shipping_started",
        "order_shipped",
    ]
    assert order.order_id not in await find_missing(harness)


async def test_an_order_that_is_recovered_while_charging_is_charged_under_the_same_token(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.charging(order)
    await handle.terminate("by mistake")
    harness.payments.may_answer.set()

    recovered = await recover(harness, order)
    result = await recovered.result()

    assert result.status is OrderStatus.SHIPPED
    assert {one.payment_token for one in harness.payments.charges} == {order.payment_token}


async def test_an_order_whose_shipment_went_on_alone_is_recovered_as_shipped(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await preparing(harness, order)
    await handle.terminate("by mistake")
    harness.shipping.may_dispatch.set()
    shipment = harness.environment.client.get_workflow_handle(f"shipping/{order.order_id}")
    await shipment.result()

    recovered = await recover(harness, order)
    result = await recovered.result()

    assert result.status is OrderStatus.SHIPPED
    assert harness.shipping.dispatched == {order.order_id}


async def test_a_recovered_order_that_tracks_its_delivery_needs_no_attention(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order(auto_approve_limit=10_000, delivery_tracking_period=timedelta(minutes=10))
    handle = await harness.place(order)
    await until(handle, waits_for(WaitingFor.DELIVERY))
    await handle.terminate("by mistake")
    await reconcile(harness)
    assert order.order_id in await find_missing(harness)

    await until(await recover(harness, order), waits_for(WaitingFor.DELIVERY))

    query = sa.select(orders.c.status, orders.c.needs_attention).where(
        orders.c.id == order.order_id
    )
    async with harness.engine.connect() as connection:
        assert (await connection.execute(query)).one() == ("shipped", False)


async def test_a_recovered_order_can_be_cancelled_with_everything_undone(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await preparing(harness, order)
    await handle.terminate("by mistake")

    recovered = await recover(harness, order, cancellation=CancelOrder(actor="grace"))
    result = await recovered.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )
    assert order.order_id in harness.shipping.cancelled


async def test_a_recovery_does_not_extend_the_approval_deadline(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order(approval_timeout=timedelta(hours=1))
    handle = await awaiting_approval(harness, order)
    await handle.terminate("by mistake")
    long_ago = Recovery(actor="grace", received_at=datetime.now(UTC) - timedelta(hours=2))

    recovered = await harness.place(order.model_copy(update={"recovery": long_ago}))

    assert (await recovered.result()).status is OrderStatus.EXPIRED


async def test_an_order_that_missed_the_end_of_its_shipment_requests_it_again(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await preparing(harness, order)
    shipment = harness.environment.client.get_workflow_handle(f"shipping/{order.order_id}")
    await shipment.terminate("as if its end were lost")
    harness.shipping.may_dispatch.set()

    await handle.signal(OrderWorkflow.recheck_shipment)

    assert (await handle.result()).status is OrderStatus.SHIPPED


async def test_money_that_is_kept_of_a_cancelled_order_is_refunded(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    await cancelled(harness, order)
    harness.payments.kept.append(_charge_of(order))

    result = await reconcile(harness)

    assert result.repaired == 1
    assert [one.charge for one in harness.payments.voided] == harness.payments.kept
    assert await find_discrepancies(harness, order.order_id) == {"money_kept": True}


async def test_a_parcel_of_a_cancelled_order_is_a_discrepancy_until_it_is_gone(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    await cancelled(harness, order)
    harness.shipping.dispatched.add(order.order_id)

    await reconcile(harness)
    found = await find_discrepancies(harness, order.order_id)
    harness.shipping.dispatched.clear()
    await reconcile(harness, look_back=timedelta(0))  # it is compared again, however old it is

    assert found == {"parcel_of_cancelled_order": False}
    assert await find_discrepancies(harness, order.order_id) == {"parcel_of_cancelled_order": True}


async def test_a_shipped_order_without_a_parcel_is_a_discrepancy(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.approve)
    await handle.result()
    harness.shipping.dispatched.clear()

    await reconcile(harness)

    found = await find_discrepancies(harness, order.order_id)
    assert found == {"shipped_without_parcel": False}


async def test_a_completed_order_has_no_parcel_and_keeps_its_money(
    harness: OrderHarness, make_order: Order
) -> None:
    line = OrderLine(sku="EBOOK", quantity=1, unit_price_minor=999, requires_shipping=False)
    order = make_order(lines=(line,), address=None)
    handle = await harness.place(order)
    await handle.signal(OrderWorkflow.approve)
    await handle.result()
    harness.payments.kept.append(_charge_of(order))

    await reconcile(harness)

    assert await find_discrepancies(harness, order.order_id) == {}
    assert harness.payments.voided == []


def _charge_of(order: PlaceOrder) -> ChargePayment:
    return ChargePayment(
        order_id=order.order_id,
        payment_token=order.payment_token,
        amount=Money(amount_minor=order.total_minor, currency=order.currency),
        payment_method=order.payment_method,
    )


async def test_ended_orders_are_listed_page_by_page_each_once(
    harness: OrderHarness, make_order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation_repository, "_PAGE_SIZE", 2)
    placed = [make_order() for _ in range(5)]
    since = datetime.now(UTC)
    await asyncio.gather(*(cancelled(harness, order) for order in placed))
    repository = reconciliation_repository.ReconciliationRepository(harness.engine)
    page = EndedOrdersPage(changed_from=since, changed_before=datetime.now(UTC))
    listed: list[UUID] = []

    while orders := await repository.list_ended(page):
        listed += [one.order_id for one in orders]
        page = page.following(orders[-1])

    assert sorted(listed) == sorted(order.order_id for order in placed)
