"""Steps of an order while the database is unavailable, or after a workflow task was lost."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from order_harness import FakePaymentService, OrderHarness, run_workers, until
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.address import Address
from fuze_contracts.order import ChangeAddress, PlaceOrder
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_order.messages import InsertFailure, ReceiveOrder, Transition
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]
EngineOf = Callable[[str], AsyncEngine]


class FailingRepository(OrderRepository):
    """Fails `failures` times before it stores an order."""

    def __init__(self, engine: AsyncEngine, failures: int) -> None:
        super().__init__(engine)
        self.failures = failures

    async def create(self, command: ReceiveOrder) -> Transition | InsertFailure:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is unavailable")
        return await super().create(command)


_PAYMENT_STATUS = {
    OrderStatus.APPROVED: PaymentStatus.PENDING,
    OrderStatus.PREPARING: PaymentStatus.CHARGED,
}
_DETAILS: dict[EventType, dict[str, JsonValue]] = {
    EventType.ADDRESS_CHANGED: {"address": {"country": "US", "postal_code": "10002"}},
    EventType.NEEDS_ATTENTION: {"step": "charge"},
}


class ConflictingRepository(OrderRepository):
    """Commits `first` before the requested event of the same number.

    A workflow task that is lost after its local activity has committed leaves the same: the
    workflow decides again, with what it knows by then.
    """

    def __init__(
        self, engine: AsyncEngine, first: EventType, status: OrderStatus, seq: int = 3
    ) -> None:
        super().__init__(engine)
        self._first = first
        self._status = status
        self._seq = seq
        self._done = False

    async def record(self, *transitions: Transition) -> Transition:
        index = self._seq - transitions[0].seq
        if 0 <= index < len(transitions) and not self._done:
            self._done = True
            lost = {
                "type": self._first,
                "status": self._status,
                "payment_status": _PAYMENT_STATUS.get(self._status, PaymentStatus.NONE),
                "details": _DETAILS.get(self._first, transitions[index].details),
            }
            await super().record(*transitions[:index], transitions[index].model_copy(update=lost))
        return await super().record(*transitions)


async def test_an_outage_longer_than_the_local_attempts_is_retried_by_the_server(
    time_skipping: WorkflowEnvironment, engine_of: EngineOf, make_order: Order
) -> None:
    engine = engine_of("order")
    order = make_order()
    harness = OrderHarness(time_skipping, engine, FakePaymentService())
    async with run_workers(harness, FailingRepository(engine, 6)):
        handle = await harness.place(order)
        await handle.signal(OrderWorkflow.cancel)
        result = await handle.result()

    assert result.status is OrderStatus.CANCELLED
    assert await harness.timeline(order.order_id) == [
        "order_received",
        "order_validated",
        "order_cancelled",
    ]


async def test_an_unavailable_provider_does_not_grow_the_history(
    time_skipping: WorkflowEnvironment, engine_of: EngineOf, make_order: Order
) -> None:
    engine = engine_of("order")
    harness = OrderHarness(time_skipping, engine, FakePaymentService())
    harness.respond_at_once()
    harness.payments.outcome = ApplicationError("the provider is unavailable")
    order = make_order(auto_approve_limit=10_000, step_failure_alert_after=timedelta(seconds=10))
    async with run_workers(harness, OrderRepository(engine)):
        handle = await harness.place(order)
        await harness.payments.reached.wait()
        await time_skipping.sleep(timedelta(seconds=20))
        await until(handle, lambda status: status.needs_attention)
        before, tried = len((await handle.fetch_history()).events), len(harness.payments.charges)
        await time_skipping.sleep(timedelta(minutes=6))
        after = len((await handle.fetch_history()).events)
        harness.payments.outcome = None

        result = await handle.result()

    assert result.status is OrderStatus.SHIPPED
    assert after == before
    assert len(harness.payments.charges) > tried + 8


@pytest.mark.parametrize(
    ("committed", "status", "then", "ends"),
    [
        (EventType.ORDER_EXPIRED, OrderStatus.EXPIRED, "approve", OrderStatus.EXPIRED),
        (EventType.ORDER_CANCELLED, OrderStatus.CANCELLED, "approve", OrderStatus.CANCELLED),
        (EventType.ORDER_APPROVED, OrderStatus.APPROVED, "cancel", OrderStatus.CANCELLED),
    ],
)
async def test_a_workflow_that_decides_again_follows_what_was_committed(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    time_skipping: WorkflowEnvironment,
    engine_of: EngineOf,
    make_order: Order,
    committed: EventType,
    status: OrderStatus,
    then: str,
    ends: OrderStatus,
) -> None:
    engine = engine_of("order")
    order = make_order(approval_timeout=timedelta(days=1))
    harness = OrderHarness(time_skipping, engine, FakePaymentService())
    async with run_workers(harness, ConflictingRepository(engine, committed, status)):
        handle = await harness.place(order)
        await handle.signal(then)
        result = await handle.result()

    assert result.status is ends
    assert harness.payments.charges == []
    timeline = await harness.timeline(order.order_id)
    assert timeline[2] == committed
    assert (await harness.row_status(order.order_id)) == ends


@pytest.mark.parametrize(
    ("committed", "status"),
    [
        (EventType.ADDRESS_CHANGED, OrderStatus.APPROVED),
        (EventType.NEEDS_ATTENTION, OrderStatus.APPROVED),
    ],
)
async def test_a_charge_is_voided_although_its_cancellation_conflicts(
    time_skipping: WorkflowEnvironment,
    engine_of: EngineOf,
    make_order: Order,
    committed: EventType,
    status: OrderStatus,
) -> None:
    engine = engine_of("order")
    order = make_order()
    harness = OrderHarness(time_skipping, engine, FakePaymentService())
    async with run_workers(harness, ConflictingRepository(engine, committed, status, seq=4)):
        handle = await harness.charging(order)
        await handle.signal(OrderWorkflow.cancel)
        result = await handle.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )
    assert len(harness.payments.voided) == 1
    assert (await harness.timeline(order.order_id))[3:] == [
        committed,
        "cancellation_started",
        "payment_refunded",
        "order_cancelled",
    ]


async def test_a_paid_order_is_refunded_although_its_cancellation_conflicts(
    time_skipping: WorkflowEnvironment, engine_of: EngineOf, make_order: Order
) -> None:
    engine = engine_of("order")
    order = make_order()
    harness = OrderHarness(time_skipping, engine, FakePaymentService())
    harness.payments.may_answer.set()
    repository = ConflictingRepository(
        engine, EventType.NEEDS_ATTENTION, OrderStatus.PREPARING, seq=6
    )
    async with run_workers(harness, repository):
        handle = await harness.preparing(order)
        await handle.signal(OrderWorkflow.cancel)
        result = await handle.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )
    assert len(harness.payments.voided) == 1
    assert order.order_id not in harness.shipping.dispatched
    assert (await harness.row_status(order.order_id)) == OrderStatus.CANCELLED


async def test_a_new_address_reaches_the_shipment_although_it_conflicts(
    time_skipping: WorkflowEnvironment, engine_of: EngineOf, make_order: Order
) -> None:
    engine = engine_of("order")
    order = make_order()
    harness = OrderHarness(time_skipping, engine, FakePaymentService())
    repository = ConflictingRepository(
        engine, EventType.NEEDS_ATTENTION, OrderStatus.PREPARING, seq=6
    )
    async with run_workers(harness, repository):
        harness.payments.may_answer.set()
        handle = await harness.preparing(order)
        elsewhere = ChangeAddress(address=Address(country="US", postal_code="94105"), actor="ada")
        await handle.execute_update(OrderWorkflow.change_order_address, elsewhere)
        harness.shipping.may_dispatch.set()
        result = await handle.result()

    assert result.status is OrderStatus.SHIPPED
    assert "to-94105" in str(result.tracking_number)
    assert (await harness.timeline(order.order_id))[5:7] == ["needs_attention", "address_changed"]


async def test_a_started_shipment_is_cancelled_although_the_cancellation_conflicts(
    time_skipping: WorkflowEnvironment, engine_of: EngineOf, make_order: Order
) -> None:
    engine = engine_of("order")
    order = make_order()
    harness = OrderHarness(time_skipping, engine, FakePaymentService())
    repository = ConflictingRepository(
        engine, EventType.SHIPPING_STARTED, OrderStatus.PREPARING, seq=4
    )
    async with run_workers(harness, repository):
        handle = await harness.charging(order)
        await handle.signal(OrderWorkflow.cancel)
        result = await handle.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )
    assert order.order_id not in harness.shipping.dispatched
