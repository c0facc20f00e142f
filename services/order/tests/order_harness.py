"""The order service on a time-skipping Temporal server, with fakes of the services it calls."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity, workflow
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from fuze_contracts import payment, shipping
from fuze_contracts.address import Address
from fuze_contracts.event_details import DETAILS
from fuze_contracts.money import Money
from fuze_contracts.order import ORDER_TASK_QUEUE, OrderResult, OrderSnapshot, PlaceOrder
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.refund_allocation import OrderShares, price_refund
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_order.activities import OrderActivities, ReconciliationActivities, ReturnActivities
from fuze_order.messages import ReceiveOrder, Transition
from fuze_order.reconciliation import OpenOrderComparison
from fuze_order.reconciliation_repository import ReconciliationRepository
from fuze_order.reconciliation_workflow import ReconcileOrdersWorkflow
from fuze_order.repository import OrderRepository
from fuze_order.return_repository import ReturnRepository
from fuze_order.return_workflow import ReturnWorkflow
from fuze_order.tables import events, orders
from fuze_order.validation import OrderRules
from fuze_order.workflows import OrderWorkflow


async def _either(*events: asyncio.Event) -> None:
    waiters = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    for waiter in waiters:
        waiter.cancel()


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


RULES = OrderRules(ships_to=frozenset({"US"}), max_order_totals={"USD": 1_000_000})
NOT_SERVED = Address(country="FR", postal_code="75001")
"""An address that these rules reject."""

Handle = WorkflowHandle[OrderWorkflow, OrderResult]


def build_receipt(order: PlaceOrder, *, run_id: str, occurred_at: datetime) -> ReceiveOrder:
    """Return the command to store a valid order."""
    outcome = Transition(
        order_id=order.order_id,
        seq=2,
        type=EventType.ORDER_VALIDATED,
        status=OrderStatus.AWAITING_APPROVAL,
        payment_status=PaymentStatus.NONE,
        actor="order-service",
        occurred_at=occurred_at,
    )
    return ReceiveOrder(order=order, run_id=run_id, occurred_at=occurred_at, outcome=outcome)


@dataclass
class FakePaymentService(payment.PaymentActivities):
    """Implements the payment service's contract; tests set the outcome."""

    outcome: payment.ChargeOutcome | ApplicationError | None = None
    charges: list[payment.ChargePayment] = field(default_factory=list)
    kept: list[payment.ChargePayment] = field(default_factory=list)
    voided: list[payment.VoidPayment] = field(default_factory=list)
    void_outcome: payment.VoidOutcome | ApplicationError | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    refunds: dict[UUID, payment.RefundPayment] = field(default_factory=dict)
    refund_outcome: payment.RefundRejected | None = None
    may_refund: asyncio.Event = field(default_factory=_set_event)
    _void_events: dict[str, asyncio.Event] = field(default_factory=dict)

    @activity.defn
    async def payment_refunded(self, command: payment.RefundPayment) -> payment.RefundOutcome:
        """Refund the lines once for the refund's id."""
        await self.may_refund.wait()
        if self.refund_outcome:
            return self.refund_outcome
        command = self.refunds.setdefault(command.refund_id, command)
        lines = price_refund(
            command.shares or OrderShares(lines=()),
            command.lines,
            include_shipping=command.include_shipping,
            earlier=(),
        )
        amount = Money(amount_minor=sum(line.amount_minor for line in lines), currency="USD")
        return payment.Refunded(refund_id=command.refund_id, amount=amount)

    @activity.defn
    async def payment_charged(self, command: payment.ChargePayment) -> payment.ChargeOutcome:
        self.charges.append(command)
        self.reached.set()
        await _either(self.may_answer, self._void_event(command.payment_token))
        if self._void_event(command.payment_token).is_set():
            return payment.Declined(code="voided")
        if isinstance(self.outcome, ApplicationError):
            raise self.outcome
        return self.outcome or payment.Charged(payment_id=uuid4(), provider_reference="ch_1")

    @activity.defn
    async def payment_voided(self, command: payment.VoidPayment) -> payment.VoidOutcome:
        self.voided.append(command)
        self._void_event(command.charge.payment_token).set()
        # The charge has to complete before its workflow can end: an activity that never completes
        # would stop the time-skipping clock for every later test.
        await asyncio.sleep(0.1)
        if isinstance(self.void_outcome, ApplicationError):
            raise self.void_outcome
        return self.void_outcome or payment.Refunded(
            refund_id=uuid4(), amount=command.charge.amount, provider_reference="re_1"
        )

    @activity.defn
    async def kept_charges_listed(self, command: payment.ListKeptCharges) -> payment.KeptCharges:
        kept = [
            one
            for one in self.kept
            if one.order_id in command.order_ids
            and one not in [voided.charge for voided in self.voided]
        ]
        return payment.KeptCharges(charges=tuple(kept))

    def _void_event(self, token: str) -> asyncio.Event:
        return self._void_events.setdefault(token, asyncio.Event())


@dataclass
class FakeShippingService(shipping.ShipmentActivities):
    """Implements the shipping service's contract: the first of dispatch and cancellation wins."""

    dispatched: set[UUID] = field(default_factory=set)
    cancelled: set[UUID] = field(default_factory=set)
    shipped: dict[UUID, shipping.Shipped] = field(default_factory=dict)
    items: dict[UUID, tuple[shipping.ParcelItem, ...]] = field(default_factory=dict)
    addresses: dict[UUID, Address] = field(default_factory=dict)
    delivery_statuses: dict[UUID, shipping.DeliveryStatus] = field(default_factory=dict)
    rejected_postal_codes: set[str] = field(default_factory=set)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    may_dispatch: asyncio.Event = field(default_factory=asyncio.Event)
    may_change_address: asyncio.Event = field(default_factory=_set_event)

    @activity.defn
    async def shipment_dispatched(
        self, command: shipping.ShipOrder
    ) -> shipping.ShippingOutcome | None:
        """Dispatch, or return None while the test does not allow it."""
        if command.order_id in self.shipped:
            return self.shipped[command.order_id]
        address = self.addresses.setdefault(command.order_id, command.address)
        self.reached.set()
        if command.order_id in self.cancelled:
            return shipping.ShipmentCancelled()
        if not self.may_dispatch.is_set():
            return None
        del self.addresses[command.order_id]
        if address.postal_code in self.rejected_postal_codes:
            return shipping.AddressRejected(code="not_delivered_there", address=address)
        self.dispatched.add(command.order_id)
        self.items[command.order_id] = command.items
        self.shipped[command.order_id] = shipping.Shipped(
            shipment_id=command.order_id,
            carrier="a-carrier",
            tracking_number=f"to-{address.postal_code}-{str(command.order_id)[:8]}",
        )
        return self.shipped[command.order_id]

    @activity.defn
    async def shipment_cancelled(
        self, command: shipping.CancelShipment
    ) -> shipping.CancelShipmentOutcome:
        if command.order_id in self.dispatched:
            return shipping.AlreadyDispatched()
        self.cancelled.add(command.order_id)
        return shipping.ShipmentCancelled()

    @activity.defn
    async def shipment_address_changed(
        self, command: shipping.ChangeShipmentAddress
    ) -> shipping.ChangeShipmentAddressOutcome:
        await self.may_change_address.wait()
        if command.order_id in self.dispatched:
            return shipping.AlreadyDispatched()
        self.addresses[command.order_id] = command.address
        return shipping.AddressChanged()

    @activity.defn
    async def delivery_status_found(
        self, command: shipping.FindDeliveryStatus
    ) -> shipping.DeliveryStatusChanged:
        status = self.delivery_statuses.get(command.order_id, shipping.DeliveryStatus.ACCEPTED)
        return shipping.DeliveryStatusChanged(order_id=command.order_id, status=status)

    @activity.defn
    async def dispatched_orders_listed(
        self, command: shipping.ListDispatchedOrders
    ) -> shipping.DispatchedOrders:
        dispatched = tuple(one for one in command.order_ids if one in self.dispatched)
        return shipping.DispatchedOrders(order_ids=dispatched)


@workflow.defn
class RefundWorkflow(payment.RefundWorkflow):
    """Stands in for the payment service, over its contract."""

    @workflow.run
    async def run(self, command: payment.RefundPayment) -> payment.RefundOutcome:
        return await workflow.execute_activity_method(
            FakePaymentService.payment_refunded,
            command,
            start_to_close_timeout=timedelta(minutes=1),
        )

    @workflow.signal
    async def wake_up(self) -> None:
        pass

    @workflow.update
    async def reserve(self) -> payment.ReserveRefundOutcome:
        raise ApplicationError("not implemented by the fake")


@workflow.defn
class ShippingWorkflow(shipping.ShippingWorkflow):
    """Stands in for the shipping service, over its contract."""

    @workflow.run
    async def run(self, command: shipping.ShipOrder) -> shipping.ShippingOutcome:
        # It polls: an activity that waited would stop the time-skipping clock, for every later test
        # as well, where its workflow ends first.
        while True:
            attempt = asyncio.ensure_future(
                workflow.execute_activity_method(
                    FakeShippingService.shipment_dispatched,
                    command,
                    start_to_close_timeout=timedelta(minutes=1),
                )
            )
            try:
                if outcome := await asyncio.shield(attempt):
                    return outcome
                await workflow.sleep(0.1)
            except asyncio.CancelledError:
                return await attempt or shipping.ShipmentCancelled()

    @workflow.signal
    async def retry(self) -> None:
        pass

    @workflow.signal
    async def wake_up(self) -> None:
        pass

    @workflow.query
    def status(self) -> shipping.ShipmentSnapshot:
        raise ApplicationError("not implemented by the fake")


@dataclass
class OrderHarness:
    """The order service, with fakes of the services it calls."""

    environment: WorkflowEnvironment
    engine: AsyncEngine
    payments: FakePaymentService
    shipping: FakeShippingService = field(default_factory=FakeShippingService)

    def respond_at_once(self) -> None:
        """Let the fakes respond at once."""
        self.payments.may_answer.set()
        self.shipping.may_dispatch.set()

    async def charging(self, order: PlaceOrder) -> Handle:
        """Place and approve an order whose charge stays in flight."""
        self.payments.may_answer.clear()
        handle = await self.place(order)
        await handle.signal(OrderWorkflow.approve)
        await self.payments.reached.wait()
        return handle

    async def preparing(self, order: PlaceOrder) -> Handle:
        """Place and approve an order whose shipment stays in preparation."""
        self.shipping.may_dispatch.clear()
        handle = await self.place(order)
        await handle.signal(OrderWorkflow.approve)
        await self.shipping.reached.wait()
        return handle

    async def place(self, order: PlaceOrder) -> Handle:
        return await self.environment.client.start_workflow(
            OrderWorkflow.run,
            order,
            id=order_workflow_id(order.order_id),
            task_queue=ORDER_TASK_QUEUE,
        )

    async def timeline(self, order_id: UUID) -> list[str]:
        query = (
            sa.select(events.c.type, events.c.details)
            .where(events.c.order_id == order_id)
            .order_by(events.c.seq)
        )
        async with self.engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        for event, details in rows:
            DETAILS[EventType(event)].model_validate(details)
        return [event for event, _ in rows]

    async def row_status(self, order_id: UUID) -> str:
        query = sa.select(orders.c.status).where(orders.c.id == order_id)
        async with self.engine.connect() as connection:
            return str((await connection.execute(query)).scalar_one())


async def until(handle: Handle, condition: Callable[[OrderSnapshot], bool]) -> OrderSnapshot:
    async with asyncio.timeout(20):
        while not condition(status := await handle.query(OrderWorkflow.status)):
            await asyncio.sleep(0.02)
    return status


def waits_for(awaited: WaitingFor) -> Callable[[OrderSnapshot], bool]:
    return lambda status: status.waiting_for is awaited


def build_order_worker(
    harness: OrderHarness,
    repository: OrderRepository,
    definition: type[OrderWorkflow] = OrderWorkflow,
    deployment: WorkerDeploymentConfig | None = None,
) -> Worker:
    """Return the order worker: `definition` is its workflow, `deployment` its version."""
    activities = OrderActivities(repository, RULES)
    returns = ReturnActivities(ReturnRepository(harness.engine))
    orders = ReconciliationRepository(harness.engine)
    reconciliation = ReconciliationActivities(orders, OpenOrderComparison(orders))
    return Worker(
        harness.environment.client,
        task_queue=ORDER_TASK_QUEUE,
        workflows=[definition, ReturnWorkflow, ReconcileOrdersWorkflow],
        activities=[
            activities.order_received,
            activities.validate_order,
            activities.transitions_recorded,
            activities.address_validated,
            reconciliation.open_orders_compared,
            reconciliation.ended_orders_listed,
            reconciliation.discrepant_orders_listed,
            reconciliation.discrepancies_recorded,
            returns.return_requested,
            returns.return_changed,
            returns.return_refund_built,
            returns.returns_resumed,
        ],
        workflow_runner=UnsandboxedWorkflowRunner(),
        deployment_config=deployment,
    )


@asynccontextmanager
async def run_called_services(harness: OrderHarness) -> AsyncIterator[None]:
    """Run the fakes of the services that orders call."""
    client = harness.environment.client
    async with (
        Worker(
            client,
            task_queue=payment.PAYMENT_TASK_QUEUE,
            workflows=[RefundWorkflow],
            activities=[
                harness.payments.payment_charged,
                harness.payments.payment_refunded,
                harness.payments.payment_voided,
                harness.payments.kept_charges_listed,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
        Worker(
            client,
            task_queue=shipping.SHIPPING_TASK_QUEUE,
            workflows=[ShippingWorkflow],
            activities=[
                harness.shipping.shipment_dispatched,
                harness.shipping.shipment_cancelled,
                harness.shipping.shipment_address_changed,
                harness.shipping.delivery_status_found,
                harness.shipping.dispatched_orders_listed,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        yield


@asynccontextmanager
async def run_workers(
    harness: OrderHarness,
    repository: OrderRepository,
    definition: type[OrderWorkflow] = OrderWorkflow,
) -> AsyncIterator[OrderHarness]:
    """Run workers for the three task queues; `definition` is the order worker's workflow."""
    async with build_order_worker(harness, repository, definition), run_called_services(harness):
        yield harness
