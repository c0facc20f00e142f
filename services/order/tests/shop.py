"""The order service at work on a clock that skips, with stand-ins for its neighbours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
    LiveStatus,
    OrderResult,
    PlaceOrder,
    WaitingFor,
    order_workflow_id,
)
from fuze_order.activities import OrderActivities
from fuze_order.repository import OrderRepository
from fuze_order.tables import events, orders
from fuze_order.workflows import OrderWorkflow

Handle = WorkflowHandle[OrderWorkflow, OrderResult]


@dataclass
class PaymentService(payment.PaymentActivities):
    """Stands in for the payment service, over its contract."""

    outcome: payment.ChargeOutcome | ApplicationError | None = None
    asked: list[payment.ChargePayment] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn
    async def payment_charged(self, command: payment.ChargePayment) -> payment.ChargeOutcome:
        self.asked.append(command)
        self.reached.set()
        await self.may_answer.wait()
        if isinstance(self.outcome, ApplicationError):
            raise self.outcome
        return self.outcome or payment.Charged(payment_id=uuid4(), provider_reference="ch_1")


@workflow.defn
class ShippingWorkflow(shipping.ShippingWorkflow):
    """Stands in for the shipping service, over its contract."""

    @workflow.run
    async def run(self, command: shipping.ShipOrder) -> shipping.Shipped:
        return shipping.Shipped(
            shipment_id=command.order_id,
            carrier="a-carrier",
            tracking_number=f"to-{command.address.zip_code}-{str(command.order_id)[:8]}",
        )

    @workflow.query
    def status(self) -> shipping.ShippingStatus:
        raise ApplicationError("nobody asks")


@dataclass
class Shop:
    """The order service at work, with stand-ins for its neighbours."""

    environment: WorkflowEnvironment
    engine: AsyncEngine
    payments: PaymentService

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


async def until(handle: Handle, condition: Callable[[LiveStatus], bool]) -> LiveStatus:
    async with asyncio.timeout(20):
        while not condition(status := await handle.query(OrderWorkflow.status)):
            await asyncio.sleep(0.02)
    return status


def waits_for(whom: WaitingFor) -> Callable[[LiveStatus], bool]:
    return lambda status: status.waiting_for is whom


@asynccontextmanager
async def open_shop(shop: Shop, repository: OrderRepository) -> AsyncIterator[Shop]:
    client = shop.environment.client
    activities = OrderActivities(repository)
    async with (
        Worker(
            client,
            task_queue=ORDER_TASK_QUEUE,
            workflows=[OrderWorkflow],
            activities=[
                activities.order_received,
                activities.validate_order,
                activities.record_transition,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
        Worker(
            client,
            task_queue=payment.PAYMENT_TASK_QUEUE,
            activities=[shop.payments.payment_charged],
        ),
        Worker(
            client,
            task_queue=shipping.SHIPPING_TASK_QUEUE,
            workflows=[ShippingWorkflow],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        yield shop
