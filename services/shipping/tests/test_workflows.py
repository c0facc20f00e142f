"""A shipment on a clock that skips: real SQL, and the sandbox carrier with its real books."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    Address,
    ParcelItem,
    ShipOrder,
    Shipped,
    ShippingStep,
    shipping_workflow_id,
)
from fuze_devstack.sandbox.app import create_app
from fuze_devstack.sandbox.books import Books
from fuze_shipping.activities import ShippingActivities
from fuze_shipping.carrier.sandbox import SandboxCarrier
from fuze_shipping.dispatching import Dispatching
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.tables import shipments
from fuze_shipping.workflows import ShippingWorkflow

EngineOf = Callable[[str], AsyncEngine]


@dataclass
class Depot:
    """The shipping service at work."""

    environment: WorkflowEnvironment
    engine: AsyncEngine
    books: Books

    async def ship(self, order_id: UUID) -> WorkflowHandle[ShippingWorkflow, Shipped]:
        return await self.environment.client.start_workflow(
            ShippingWorkflow.run,
            ShipOrder(
                order_id=order_id,
                address=Address(zip_code="10001"),
                items=(ParcelItem(sku="TEAPOT-1", quantity=3),),
            ),
            id=shipping_workflow_id(order_id),
            task_queue=SHIPPING_TASK_QUEUE,
        )

    async def state(self, order_id: UUID) -> str:
        query = sa.select(shipments.c.state).where(shipments.c.order_id == order_id)
        async with self.engine.connect() as connection:
            return str((await connection.execute(query)).scalar_one())


@pytest.fixture
async def depot(
    time_skipping: WorkflowEnvironment, engine_of: EngineOf, tmp_path: Path
) -> AsyncIterator[Depot]:
    books, engine = Books(tmp_path), engine_of("shipping")
    transport = httpx.ASGITransport(create_app(books))
    async with httpx.AsyncClient(transport=transport, base_url="http://c/carrier/") as client:
        repository = ShipmentRepository(engine)
        dispatching = Dispatching(repository, SandboxCarrier(client, timeout=5))
        activities = ShippingActivities(repository, dispatching)
        async with Worker(
            time_skipping.client,
            task_queue=SHIPPING_TASK_QUEUE,
            workflows=[ShippingWorkflow],
            activities=[
                activities.package_prepared,
                activities.carrier_dispatched,
                activities.carrier_cancelled,
                activities.shipment_readdressed,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            yield Depot(time_skipping, engine, books)
    books.close()


async def test_a_parcel_is_prepared_and_handed_over(depot: Depot) -> None:
    order_id = uuid4()

    shipped = await (await depot.ship(order_id)).result()

    [parcel] = depot.books.read("parcels", order_id=str(order_id))
    assert parcel["tracking_number"] == shipped.tracking_number
    assert parcel["contents"] == [{"sku": "TEAPOT-1", "quantity": 3}]
    assert await depot.state(order_id) == "dispatched"


async def test_a_carrier_that_is_down_delays_the_parcel_and_no_more(depot: Depot) -> None:
    order_id = uuid4()
    depot.books.set_available("carrier", available=False)
    handle = await depot.ship(order_id)
    async with asyncio.timeout(20):
        while (await handle.query(ShippingWorkflow.status)).step is not ShippingStep.DISPATCHING:
            await asyncio.sleep(0.02)
    assert await depot.state(order_id) == "prepared"
    depot.books.set_available("carrier", available=True)

    await handle.result()

    assert len(depot.books.read("parcels", order_id=str(order_id))) == 1
    assert await depot.state(order_id) == "dispatched"


async def test_a_paid_shipment_is_finished_even_when_asked_to_cancel(depot: Depot) -> None:
    order_id = uuid4()
    depot.books.set_available("carrier", available=False)
    handle = await depot.ship(order_id)
    await handle.cancel()
    depot.books.set_available("carrier", available=True)

    assert (await handle.result()).tracking_number


async def test_the_same_shipment_again_hands_over_nothing_new(depot: Depot) -> None:
    order_id = uuid4()
    first = await (await depot.ship(order_id)).result()

    second = await (await depot.ship(order_id)).result()

    assert second == first
    assert len(depot.books.read("parcels", order_id=str(order_id))) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM shipping.shipments",
        "CREATE TABLE shipping.more (id int)",
        "SELECT * FROM orders.orders",
        "SELECT * FROM payments.payments",
    ],
)
async def test_the_services_role_may_not(engine_of: EngineOf, statement: str) -> None:
    async with engine_of("shipping").connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(sa.text(statement))
