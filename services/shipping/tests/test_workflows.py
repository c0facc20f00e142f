"""ShippingWorkflow on a time-skipping server, over real SQL and the sandbox carrier."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import (
    Interceptor,
    SignalExternalWorkflowInput,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    Address,
    AddressRejected,
    CarrierWebhookWorkflow,
    ParcelItem,
    RefreshShipment,
    ShipmentCancelled,
    ShipOrder,
    Shipped,
    ShippingOutcome,
    ShippingStep,
)
from fuze_contracts.workflow_ids import carrier_webhook_workflow_id, shipping_workflow_id
from fuze_sandbox.store import SandboxStore
from fuze_shipping import workflows
from fuze_shipping.activities import ShippingActivities, derive_shipment_id
from fuze_shipping.dispatch_service import DispatchService
from fuze_shipping.messages import ShipmentState
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.workflows import ShippingWorkflow

Handle = WorkflowHandle[ShippingWorkflow, ShippingOutcome]


@dataclass
class Harness:
    """A shipping worker, and the carrier's records."""

    environment: WorkflowEnvironment
    store: SandboxStore
    activities: ShippingActivities
    repository: ShipmentRepository

    @asynccontextmanager
    async def worker(self, *interceptors: Interceptor) -> AsyncIterator[None]:
        async with Worker(
            self.environment.client,
            task_queue=SHIPPING_TASK_QUEUE,
            workflows=[ShippingWorkflow, workflows.CarrierWebhookWorkflow],
            activities=[
                self.activities.shipment_prepared,
                self.activities.shipment_dispatched,
                self.activities.shipment_cancelled,
                self.activities.shipment_address_changed,
                self.activities.delivery_status_refreshed,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
            interceptors=interceptors,
        ):
            yield

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

    def set_available(self, *, available: bool) -> None:
        self.store.set_available("carrier", available=available)

    def parcels(self, order_id: UUID) -> list[dict[str, Any]]:
        return self.store.find("parcels", order_id=str(order_id))

    async def state(self, order_id: UUID) -> ShipmentState:
        return (await self.repository.get(derive_shipment_id(order_id))).state


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


async def wait_until_retrying(handle: Handle) -> None:
    """Wait until the first attempt to dispatch has failed."""
    async with asyncio.timeout(20):
        while True:
            pending = (await handle.describe()).raw_description.pending_activities
            if any(activity.attempt > 1 for activity in pending):
                return
            await asyncio.sleep(0.02)


async def wait_until_recorded(handle: Handle, event_type: EventType.ValueType) -> None:
    async with asyncio.timeout(20):
        while True:
            events = (await handle.fetch_history()).events
            if any(event.event_type == event_type for event in events):
                return
            await asyncio.sleep(0.02)


async def test_a_shipment_is_prepared_and_dispatched(shipping: Harness) -> None:
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


class _DelayedSignals(Interceptor):
    """Delays each signal to another workflow by an hour."""

    def workflow_interceptor_class(
        self, _: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _DelayedSignalsInbound


class _DelayedSignalsInbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_DelayedSignalsOutbound(outbound))


class _DelayedSignalsOutbound(WorkflowOutboundInterceptor):
    async def signal_external_workflow(self, input: SignalExternalWorkflowInput) -> None:  # noqa: A002 - the SDK's name
        await workflow.sleep(timedelta(hours=1))
        await super().signal_external_workflow(input)


async def test_a_cancellation_while_a_failure_is_reported_cancels_the_shipment(
    harness: Harness,
) -> None:
    order_id = uuid4()
    harness.set_available(available=False)
    async with harness.worker(_DelayedSignals()):
        handle = await harness.ship(order_id, step_failure_alert_after=timedelta(minutes=2))
        await wait_until_retrying(handle)
        await harness.environment.sleep(timedelta(minutes=3))
        await wait_until_recorded(handle, EventType.EVENT_TYPE_TIMER_STARTED)

        await handle.cancel()

        assert isinstance(await handle.result(), ShipmentCancelled)
    assert await harness.state(order_id) is ShipmentState.CANCELLED


async def test_a_rejected_address_is_an_outcome_and_can_be_corrected(shipping: Harness) -> None:
    order_id = uuid4()

    rejected = await (await shipping.ship(order_id, line1="rejected")).result()
    corrected = await (await shipping.ship(order_id)).result()

    assert isinstance(rejected, AddressRejected)
    assert rejected.code == "address_not_serviceable"
    assert rejected.address == Address(zip_code="10001", line1="rejected")
    assert isinstance(corrected, Shipped)


async def test_retries_in_a_long_outage_do_not_make_the_history_grow(shipping: Harness) -> None:
    shipping.set_available(available=False)
    handle = await shipping.ship(uuid4(), step_failure_alert_after=timedelta(minutes=2))
    await wait_until_retrying(handle)
    await shipping.environment.sleep(timedelta(minutes=5))
    await wait_until_recorded(
        handle, EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_FAILED
    )
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
