"""Activities that an operator fails for good, as `temporal activity fail` does."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from order_harness import FakePaymentService, FakeShippingService, OrderHarness, run_workers, until
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from fuze_contracts import shipping
from fuze_contracts.address import Address
from fuze_contracts.order import CancelOrder, ChangeAddress, PlaceOrder
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_order.messages import InsertFailure, ReceiveOrder, Transition
from fuze_order.repository import OrderRepository
from fuze_order.workflows import OrderWorkflow

Order = Callable[..., PlaceOrder]
EngineOf = Callable[[str], AsyncEngine]


def operator_failure() -> ApplicationError:
    """Return the failure that `temporal activity fail` reports: without a type, and final."""
    return ApplicationError("failed by an operator", non_retryable=True)


@dataclass
class OperatedShippingService(FakeShippingService):
    """Fails the first decision of the shipping service for good."""

    failures: int = 1

    @activity.defn
    async def shipment_cancelled(
        self, command: shipping.CancelShipment
    ) -> shipping.CancelShipmentOutcome:
        self._fail_first()
        return await super().shipment_cancelled(command)

    @activity.defn
    async def shipment_address_changed(
        self, command: shipping.ChangeShipmentAddress
    ) -> shipping.ChangeShipmentAddressOutcome:
        self._fail_first()
        return await super().shipment_address_changed(command)

    def _fail_first(self) -> None:
        if self.failures:
            self.failures -= 1
            raise operator_failure()


class OperatedRepository(OrderRepository):
    """Fails the first attempt to commit an event for good."""

    def __init__(self, engine: AsyncEngine, event: EventType) -> None:
        super().__init__(engine)
        self._event: EventType | None = event

    async def create(self, command: ReceiveOrder) -> Transition | InsertFailure:
        self._fail_first(EventType.ORDER_RECEIVED)
        return await super().create(command)

    async def record(self, *transitions: Transition) -> Transition:
        for transition in transitions:
            self._fail_first(transition.type)
        return await super().record(*transitions)

    def _fail_first(self, event: EventType) -> None:
        if event is self._event:
            self._event = None
            raise operator_failure()


@pytest.fixture
def harness(time_skipping: WorkflowEnvironment, engine_of: EngineOf) -> OrderHarness:
    harness = OrderHarness(
        time_skipping, engine_of("order"), FakePaymentService(), OperatedShippingService()
    )
    harness.respond_at_once()
    return harness


async def test_the_cancellation_of_a_shipment_is_requested_again(
    harness: OrderHarness, make_order: Order
) -> None:
    order = make_order()
    async with run_workers(harness, OrderRepository(harness.engine)):
        handle = await harness.preparing(order)
        await handle.signal(OrderWorkflow.cancel, CancelOrder())
        result = await handle.result()

    assert (result.status, result.payment_status) == (
        OrderStatus.CANCELLED,
        PaymentStatus.REFUNDED,
    )
    assert order.order_id in harness.shipping.cancelled


async def test_the_new_address_of_a_shipment_is_requested_again(
    harness: OrderHarness, make_order: Order
) -> None:
    async with run_workers(harness, OrderRepository(harness.engine)):
        handle = await harness.preparing(make_order())
        await handle.signal(
            OrderWorkflow.change_address,
            ChangeAddress(address=Address(country="US", postal_code="94105")),
        )
        await until(handle, lambda snapshot: snapshot.last_seq == 6)
        harness.shipping.may_dispatch.set()
        result = await handle.result()

    assert (result.tracking_number or "").startswith("to-94105-")


@pytest.mark.parametrize(
    "event",
    [
        EventType.ORDER_RECEIVED,
        EventType.ORDER_VALIDATED,
        EventType.ORDER_APPROVED,
        EventType.PAYMENT_CHARGED,
        EventType.ORDER_SHIPPED,
    ],
)
async def test_a_commit_is_requested_again(
    harness: OrderHarness, make_order: Order, event: EventType
) -> None:
    order = make_order(auto_approve_limit=10_000)
    async with run_workers(harness, OperatedRepository(harness.engine, event)):
        handle = await harness.place(order)
        result = await handle.result()

    assert result.status is OrderStatus.SHIPPED
    assert len(harness.payments.charges) == 1
