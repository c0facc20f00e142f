"""ShippingWorkflow on a time-skipping server, over real SQL and the sandbox carrier."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from shipping_harness import Harness, wait_until_recorded, wait_until_retrying
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.address import Address
from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    AddressRejected,
    CarrierWebhookWorkflow,
    RefreshShipment,
    ShipmentCancelled,
    Shipped,
    ShippingStep,
)
from fuze_contracts.workflow_ids import carrier_webhook_workflow_id
from fuze_sandbox.store import SandboxStore
from fuze_shipping.activities import ShippingActivities, derive_shipment_id
from fuze_shipping.dispatch_service import DispatchService
from fuze_shipping.messages import ShipmentState
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.workflows import ShippingWorkflow


@pytest.fixture
def harness(
    time_skipping: WorkflowEnvironment,
    store: SandboxStore,
    repository: ShipmentRepository,
    dispatch_service: DispatchService,
) -> Harness:
    activities = ShippingActivities(repository, dispatch_service)
    return Harness(time_skipping, store, activities, repository)


@pytest.fixture
async def shipping(harness: Harness) -> AsyncIterator[Harness]:
    async with harness.worker():
        yield harness


async def test_a_shipment_is_dispatched(shipping: Harness) -> None:
    order_id = uuid4()

    handle = await shipping.ship(order_id)
    shipped = await handle.result()

    [parcel] = shipping.parcels(order_id)
    assert isinstance(shipped, Shipped)
    assert shipped.tracking_number == parcel["tracking_number"]
    assert parcel["contents"] == [{"sku": "TEAPOT-1", "quantity": 3}]
    assert await shipping.state(order_id) is ShipmentState.DISPATCHED
    assert (await handle.query(ShippingWorkflow.status)).step is ShippingStep.SHIPPED


async def test_an_outage_of_the_carrier_delays_the_dispatch(shipping: Harness) -> None:
    order_id = uuid4()
    shipping.set_available(available=False)
    handle = await shipping.ship(order_id)
    await wait_until_retrying(handle)
    assert (await handle.query(ShippingWorkflow.status)).step is ShippingStep.DISPATCHING
    assert await shipping.state(order_id) is ShipmentState.PREPARED
    shipping.set_available(available=True)

    await handle.result()

    assert len(shipping.parcels(order_id)) == 1
    assert await shipping.state(order_id) is ShipmentState.DISPATCHED


async def test_a_workflow_that_is_cancelled_in_an_outage_cancels_the_shipment(
    shipping: Harness,
) -> None:
    order_id = uuid4()
    shipping.set_available(available=False)
    handle = await shipping.ship(order_id)
    await wait_until_retrying(handle)
    await handle.cancel()

    assert isinstance(await handle.result(), ShipmentCancelled)
    shipping.set_available(available=True)
    assert await shipping.state(order_id) is ShipmentState.CANCELLED
    assert shipping.parcels(order_id) == []
    assert (await handle.query(ShippingWorkflow.status)).step is ShippingStep.CANCELLED


async def test_a_rejected_address_is_an_outcome_and_can_be_corrected(shipping: Harness) -> None:
    order_id = uuid4()

    rejected = await (await shipping.ship(order_id, line1="rejected")).result()
    corrected = await (await shipping.ship(order_id, number=2)).result()

    assert isinstance(rejected, AddressRejected)
    assert rejected.code == "address_not_serviceable"
    assert rejected.address == Address(country="US", postal_code="10001", line1="rejected")
    assert isinstance(corrected, Shipped)


async def test_retries_in_a_long_outage_do_not_make_the_history_grow(shipping: Harness) -> None:
    shipping.set_available(available=False)
    handle = await shipping.ship(uuid4(), step_failure_alert_after=timedelta(minutes=2))
    await wait_until_retrying(handle)
    await shipping.environment.sleep(timedelta(minutes=5))
    await wait_until_recorded(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
    await wait_until_recorded(handle, EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, is_last=True)
    await wait_until_retrying(handle)
    before = len((await handle.fetch_history()).events)

    await shipping.environment.sleep(timedelta(minutes=20))  # about forty attempts

    assert len((await handle.fetch_history()).events) == before
    shipping.set_available(available=True)
    assert isinstance(await handle.result(), Shipped)


async def test_a_retry_signal_dispatches_now(shipping: Harness) -> None:
    shipping.set_available(available=False)
    handle = await shipping.ship(uuid4())
    await wait_until_retrying(handle)
    shipping.set_available(available=True)

    await handle.signal(ShippingWorkflow.retry)

    assert isinstance(await handle.result(), Shipped)


async def test_shipping_an_order_again_dispatches_nothing_new(shipping: Harness) -> None:
    order_id = uuid4()
    first = await (await shipping.ship(order_id)).result()

    second = await (await shipping.ship(order_id)).result()

    assert second == first
    assert len(shipping.parcels(order_id)) == 1


async def test_a_carrier_webhook_refreshes_the_delivery_status_of_a_closed_order(
    shipping: Harness,
) -> None:
    order_id = uuid4()
    await (await shipping.ship(order_id)).result()
    [parcel] = shipping.parcels(order_id)
    shipping.store.update(parcel["id"], status="delivered")

    status = await shipping.environment.client.execute_workflow(
        CarrierWebhookWorkflow.run,
        RefreshShipment(shipment_id=derive_shipment_id(order_id)),
        id=carrier_webhook_workflow_id(derive_shipment_id(order_id)),
        task_queue=SHIPPING_TASK_QUEUE,
    )

    assert status == "delivered"
