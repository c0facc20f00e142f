"""The order service at work on a clock that skips, with stand-ins for its neighbours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity, workflow
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from fuze_contracts import payment, shipping
from fuze_contracts.order import (
    ORDER_TASK_QUEUE,
    OrderResult,
    OrderSnapshot,
    PlaceOrder,
    WaitingFor,
)
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_order.activities import OrderActivities
from fuze_order.repository import OrderRepository
from fuze_order.tables import events, orders
from fuze_order.workflows import OrderWorkflow


async def _either(*events: asyncio.Event) -> None:
    waiters = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    for waiter in waiters:
        waiter.cancel()


Handle = WorkflowHandle[OrderWorkflow, OrderResult]


@dataclass
class PaymentService(payment.PaymentActivities):
    """Stands in for the payment service, over its contract."""

    outcome: payment.ChargeOutcome | ApplicationError | None = None
    asked: list[payment.ChargePayment] = field(default_factory=list)
    voided: list[payment.VoidPayment] = field(default_factory=list)
    void_outcome: payment.VoidOutcome | ApplicationError | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    _let_go: dict[str, asyncio.Event] = field(default_factory=dict)

    @activity.defn
    async def payment_charged(self, command: payment.ChargePayment) -> payment.ChargeOutcome:
        self.asked.append(command)
        self.reached.set()
        await _either(self.may_answer, self._let_go_of(command.payment_token))
        if self._let_go_of(command.payment_token).is_set():
            return payment.Declined(code="voided")
        if isinstance(self.outcome, ApplicationError):
            raise self.outcome
        return self.outcome or payment.Charged(payment_id=uuid4(), provider_reference="ch_1")

    @activity.defn
    async def payment_voided(self, command: payment.VoidPayment) -> payment.VoidOutcome:
        self.voided.append(command)
        self._let_go_of(command.charge.payment_token).set()
        # The charge's answer is to reach the server before its workflow can end: the clock that
        # skips would stand still for ever for an activity that ends without one.
        await asyncio.sleep(0.1)
        if isinstance(self.void_outcome, ApplicationError):
            raise self.void_outcome
        return self.void_outcome or payment.Refunded(
            refund_id=uuid4(), amount=command.charge.amount, provider_reference="re_1"
        )

    def _let_go_of(self, token: str) -> asyncio.Event:
        return self._let_go.setdefault(token, asyncio.Event())


@dataclass
class Depot(shipping.ShipmentActivities):
    """Stands in for the shipping service, over its contract: whoever comes first wins."""

    handed_over: set[UUID] = field(default_factory=set)
    called_off: set[UUID] = field(default_factory=set)
    addresses: dict[UUID, shipping.Address] = field(default_factory=dict)
    refused_zip_codes: set[str] = field(default_factory=set)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    may_hand_over: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn
    async def shipment_dispatched(
        self, command: shipping.ShipOrder
    ) -> shipping.ShippingOutcome | None:
        """Hand over, or None while it is not time yet."""
        address = self.addresses.setdefault(command.order_id, command.address)
        self.reached.set()
        if command.order_id in self.called_off:
            return shipping.ShipmentCancelled()
        if not self.may_hand_over.is_set():
            return None
        del self.addresses[command.order_id]
        if address.zip_code in self.refused_zip_codes:
            return shipping.AddressRejected(code="not_delivered_there", address=address)
        self.handed_over.add(command.order_id)
        return shipping.Shipped(
            shipment_id=command.order_id,
            carrier="a-carrier",
            tracking_number=f"to-{address.zip_code}-{str(command.order_id)[:8]}",
        )

    @activity.defn
    async def shipment_cancelled(
        self, command: shipping.CancelShipment
    ) -> shipping.CancelShipmentOutcome:
        if command.order_id in self.handed_over:
            return shipping.AlreadyDispatched()
        self.called_off.add(command.order_id)
        return shipping.ShipmentCancelled()

    @activity.defn
    async def shipment_address_changed(
        self, command: shipping.ChangeShipmentAddress
    ) -> shipping.ChangeShipmentAddressOutcome:
        if command.order_id in self.handed_over:
            return shipping.AlreadyDispatched()
        self.addresses[command.order_id] = command.address
        return shipping.AddressChanged()


@workflow.defn
class ShippingWorkflow(shipping.ShippingWorkflow):
    """Stands in for the shipping service, over its contract."""

    @workflow.run
    async def run(self, command: shipping.ShipOrder) -> shipping.ShippingOutcome:
        # It asks again and again: an activity that just waited would stop the clock that skips,
        # for every later test too where its workflow ends without it.
        while True:
            asked = asyncio.ensure_future(
                workflow.execute_activity_method(
                    Depot.shipment_dispatched, command, start_to_close_timeout=timedelta(minutes=1)
                )
            )
            try:
                if outcome := await asyncio.shield(asked):
                    return outcome
                await workflow.sleep(0.1)
            except asyncio.CancelledError:
                return await asked or shipping.ShipmentCancelled()

    @workflow.signal
    async def retry(self) -> None:
        pass

    @workflow.query
    def status(self) -> shipping.ShipmentSnapshot:
        raise ApplicationError("nobody asks")


@dataclass
class Shop:
    """The order service at work, with stand-ins for its neighbours."""

    environment: WorkflowEnvironment
    engine: AsyncEngine
    payments: PaymentService
    depot: Depot = field(default_factory=Depot)

    def open_for_business(self) -> None:
        """Let everyone outside answer at once."""
        self.payments.may_answer.set()
        self.depot.may_hand_over.set()

    async def charging(self, order: PlaceOrder) -> Handle:
        """Place an order and let it proceed to the provider, who takes time to answer."""
        self.payments.may_answer.clear()
        handle = await self.place(order)
        await handle.signal(OrderWorkflow.approve)
        await self.payments.reached.wait()
        return handle

    async def preparing(self, order: PlaceOrder) -> Handle:
        """Place an order and let it proceed to the carrier, who takes time to answer."""
        self.depot.may_hand_over.clear()
        handle = await self.place(order)
        await handle.signal(OrderWorkflow.approve)
        await self.depot.reached.wait()
        return handle

    async def place(self, order: PlaceOrder) -> Handle:
        return await self.environment.client.start_workflow(
            OrderWorkflow.run,
            order,
            id=order_workflow_id(order.order_id),
            task_queue=ORDER_TASK_QUEUE,
        )

    async def timeline(self, order_id: UUID) -> list[str]:
        query = sa.select(events.c.type).where(events.c.order_id == order_id).order_by(events.c.seq)
        async with self.engine.connect() as connection:
            return list((await connection.execute(query)).scalars())

    async def row_status(self, order_id: UUID) -> str:
        query = sa.select(orders.c.status).where(orders.c.id == order_id)
        async with self.engine.connect() as connection:
            return str((await connection.execute(query)).scalar_one())


async def until(handle: Handle, condition: Callable[[OrderSnapshot], bool]) -> OrderSnapshot:
    async with asyncio.timeout(20):
        while not condition(status := await handle.query(OrderWorkflow.status)):
            await asyncio.sleep(0.02)
    return status


def waits_for(whom: WaitingFor) -> Callable[[OrderSnapshot], bool]:
    return lambda status: status.waiting_for is whom


@asynccontextmanager
async def open_shop(
    shop: Shop, repository: OrderRepository, life: type[OrderWorkflow] = OrderWorkflow
) -> AsyncIterator[Shop]:
    """Let workers serve all three queues; `life` is the order's workflow that they know."""
    client = shop.environment.client
    activities = OrderActivities(repository)
    async with (
        Worker(
            client,
            task_queue=ORDER_TASK_QUEUE,
            workflows=[life],
            activities=[
                activities.order_received,
                activities.validate_order,
                activities.transition_recorded,
                activities.address_validated,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
        Worker(
            client,
            task_queue=payment.PAYMENT_TASK_QUEUE,
            activities=[shop.payments.payment_charged, shop.payments.payment_voided],
        ),
        Worker(
            client,
            task_queue=shipping.SHIPPING_TASK_QUEUE,
            workflows=[ShippingWorkflow],
            activities=[
                shop.depot.shipment_dispatched,
                shop.depot.shipment_cancelled,
                shop.depot.shipment_address_changed,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        yield shop
