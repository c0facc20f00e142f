"""A shipment on a clock that skips: real SQL, and the sandbox carrier with its real books."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
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
    AddressRejected,
    ParcelItem,
    ShipmentCancelled,
    ShipOrder,
    Shipped,
    ShippingOutcome,
    ShippingStep,
)
from fuze_contracts.workflow_ids import shipping_workflow_id
from fuze_sandbox.app import create_app
from fuze_sandbox.books import Books
from fuze_shipping.activities import ShippingActivities
from fuze_shipping.carrier.sandbox import SandboxCarrier
from fuze_shipping.dispatching import Dispatching
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.tables import shipments
from fuze_shipping.workflows import ShippingWorkflow

_MOST_EVENTS = 200

Handle = WorkflowHandle[ShippingWorkflow, ShippingOutcome]
EngineOf = Callable[[str], AsyncEngine]


@dataclass
class Depot:
    """The shipping service at work."""

    environment: WorkflowEnvironment
    engine: AsyncEngine
    books: Books

    async def ship(
        self,
        order_id: UUID,
        *,
        line1: str | None = None,
        step_failure_alert_after: timedelta = timedelta(days=1),
    ) -> Handle:
        return await self.environment.client.start_workflow(
            ShippingWorkflow.run,
            ShipOrder(
                order_id=order_id,
                address=Address(zip_code="10001", line1=line1),
                step_failure_alert_after=step_failure_alert_after,
                items=(ParcelItem(sku="TEAPOT-1", quantity=3),),
            ),
            id=shipping_workflow_id(order_id),
            task_queue=SHIPPING_TASK_QUEUE,
        )

    async def until_asked(self, handle: Handle) -> None:
        """Wait until the carrier was asked in vain."""
        async with asyncio.timeout(20):
            while True:
                description = await handle.describe()
                if any(one.attempt > 1 for one in description.raw_description.pending_activities):
                    return
                await asyncio.sleep(0.02)

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
                activities.shipment_prepared,
                activities.shipment_dispatched,
                activities.shipment_cancelled,
                activities.shipment_address_changed,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            yield Depot(time_skipping, engine, books)
    books.close()


async def test_a_parcel_is_prepared_and_handed_over(depot: Depot) -> None:
    order_id = uuid4()

    shipped = await (await depot.ship(order_id)).result()

    [parcel] = depot.books.read("parcels", order_id=str(order_id))
    assert isinstance(shipped, Shipped)
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


async def test_a_shipment_that_is_cancelled_while_the_carrier_is_away_is_called_off(
    depot: Depot,
) -> None:
    order_id = uuid4()
    depot.books.set_available("carrier", available=False)
    handle = await depot.ship(order_id)
    await depot.until_asked(handle)
    await handle.cancel()

    assert isinstance(await handle.result(), ShipmentCancelled)
    depot.books.set_available("carrier", available=True)
    assert await depot.state(order_id) == "cancelled"
    assert depot.books.read("parcels", order_id=str(order_id)) == []


async def test_an_address_that_the_carrier_refuses_is_an_outcome(depot: Depot) -> None:
    order_id = uuid4()

    outcome = await (await depot.ship(order_id, line1="rejected")).result()
    corrected = await (await depot.ship(order_id)).result()

    assert isinstance(outcome, AddressRejected)
    assert outcome.code == "not_delivered_there"
    assert isinstance(corrected, Shipped)


async def test_an_outage_of_a_day_does_not_make_the_history_grow(depot: Depot) -> None:
    depot.books.set_available("carrier", available=False)
    handle = await depot.ship(uuid4(), step_failure_alert_after=timedelta(minutes=10))
    await depot.until_asked(handle)
    await depot.environment.sleep(timedelta(minutes=9))
    before = len((await handle.fetch_history()).events)
    for _ in range(24):
        await depot.environment.sleep(timedelta(hours=1))
    depot.books.set_available("carrier", available=True)

    await handle.result()

    # It was given up once after its patience, tried to tell the order, and asked without a limit.
    after = len((await handle.fetch_history()).events)
    assert after <= before + 24
    assert after < _MOST_EVENTS


async def test_a_hand_over_is_tried_at_once_when_somebody_asks_for_it(depot: Depot) -> None:
    depot.books.set_available("carrier", available=False)
    handle = await depot.ship(uuid4())
    await depot.until_asked(handle)
    depot.books.set_available("carrier", available=True)

    await handle.signal(ShippingWorkflow.retry)

    assert isinstance(await handle.result(), Shipped)


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
