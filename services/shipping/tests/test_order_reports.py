"""Reports to the order's workflow, on a development server."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from shipping_harness import (
    FakeOrderWorkflow,
    Harness,
    wait_until_recorded,
    wait_until_retrying,
)
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    CarrierWebhookWorkflow,
    RefreshShipment,
    ShipmentCancelled,
    Shipped,
)
from fuze_contracts.workflow_ids import carrier_webhook_workflow_id, order_workflow_id
from fuze_sandbox.store import SandboxStore
from fuze_shipping import order_reports
from fuze_shipping.activities import ShippingActivities, derive_shipment_id
from fuze_shipping.dispatch_service import DispatchService
from fuze_shipping.messages import ShipmentState
from fuze_shipping.repository import ShipmentRepository

_SOON = timedelta(seconds=1)


@pytest.fixture
async def shipping(
    dev_server: WorkflowEnvironment,
    store: SandboxStore,
    repository: ShipmentRepository,
    dispatch_service: DispatchService,
) -> AsyncIterator[Harness]:
    activities = ShippingActivities(repository, dispatch_service)
    harness = Harness(dev_server, store, activities, repository)
    async with harness.worker():
        yield harness


async def start_order(
    shipping: Harness, order_id: UUID, *, rejections: int = 0
) -> WorkflowHandle[Any, list[str]]:
    return await shipping.environment.client.start_workflow(
        FakeOrderWorkflow.run,
        rejections,
        id=order_workflow_id(order_id),
        task_queue=SHIPPING_TASK_QUEUE,
    )


async def start_webhook(shipping: Harness, order_id: UUID) -> WorkflowHandle[Any, str]:
    return await shipping.environment.client.start_workflow(
        CarrierWebhookWorkflow.run,
        RefreshShipment(shipment_id=derive_shipment_id(order_id)),
        id=carrier_webhook_workflow_id(str(uuid4())),
        task_queue=SHIPPING_TASK_QUEUE,
    )


async def ship_and_return(shipping: Harness, order_id: UUID) -> None:
    await (await shipping.ship(order_id)).result()
    [parcel] = shipping.parcels(order_id)
    shipping.store.update(parcel["id"], status="returned")


async def test_an_order_learns_of_a_returned_parcel_once(shipping: Harness) -> None:
    order_id = uuid4()
    await ship_and_return(shipping, order_id)
    order = await start_order(shipping, order_id)

    for _ in range(3):
        webhook = await start_webhook(shipping, order_id)
        assert await webhook.result() == "returned"

    await order.signal(FakeOrderWorkflow.end)
    assert await order.result() == ["returned"]


async def test_a_report_to_an_order_in_the_middle_of_a_step_is_sent_again(
    shipping: Harness,
) -> None:
    order_id = uuid4()
    await ship_and_return(shipping, order_id)
    order = await start_order(shipping, order_id, rejections=1)

    assert await (await start_webhook(shipping, order_id)).result() == "returned"

    await order.signal(FakeOrderWorkflow.end)
    assert await order.result() == ["returned"]


async def test_a_returned_parcel_is_reported_until_a_terminated_order_is_started_again(
    shipping: Harness,
) -> None:
    order_id = uuid4()
    await ship_and_return(shipping, order_id)
    await (await start_order(shipping, order_id)).terminate()
    webhook = await start_webhook(shipping, order_id)
    await wait_until_retrying(webhook)

    order = await start_order(shipping, order_id)

    assert await webhook.result() == "returned"
    await order.signal(FakeOrderWorkflow.end)
    assert await order.result() == ["returned"]


async def test_a_report_that_keeps_failing_needs_attention(
    shipping: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(order_reports, "_ALERT_ATTEMPT", 2)
    order_id = uuid4()
    await ship_and_return(shipping, order_id)
    await (await start_order(shipping, order_id)).terminate()
    webhook = await start_webhook(shipping, order_id)

    async with asyncio.timeout(20):
        while not any(line.startswith("order cannot be reached") for line in caplog.messages):
            await asyncio.sleep(0.05)

    await webhook.terminate()


async def test_a_report_to_an_order_that_ended_is_dropped(shipping: Harness) -> None:
    order_id = uuid4()
    await ship_and_return(shipping, order_id)
    order = await start_order(shipping, order_id)
    await order.signal(FakeOrderWorkflow.end)
    await order.result()

    assert await (await start_webhook(shipping, order_id)).result() == "returned"


async def test_a_dispatch_does_not_wait_until_its_failure_is_reported(shipping: Harness) -> None:
    order_id = uuid4()
    await (await start_order(shipping, order_id)).terminate()
    shipping.set_available(available=False)
    handle = await shipping.ship(order_id, step_failure_alert_after=_SOON)
    await wait_until_retrying(handle)
    await wait_until_retrying(handle, "step_failure_reported")
    shipping.set_available(available=True)

    assert isinstance(await handle.result(), Shipped)


async def test_a_cancellation_while_a_failure_is_reported_cancels_the_shipment(
    shipping: Harness,
) -> None:
    order_id = uuid4()
    await (await start_order(shipping, order_id)).terminate()
    shipping.set_available(available=False)
    handle = await shipping.ship(order_id, step_failure_alert_after=_SOON)
    await wait_until_retrying(handle, "step_failure_reported")

    await handle.cancel()

    assert isinstance(await handle.result(), ShipmentCancelled)
    assert await shipping.state(order_id) is ShipmentState.CANCELLED


async def test_a_failing_dispatch_is_reported_to_the_order(shipping: Harness) -> None:
    order_id = uuid4()
    order = await start_order(shipping, order_id)
    shipping.set_available(available=False)
    handle = await shipping.ship(order_id, step_failure_alert_after=_SOON)
    await wait_until_retrying(handle)
    await wait_until_recorded(order, EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED)
    shipping.set_available(available=True)
    await handle.result()

    await order.signal(FakeOrderWorkflow.end)

    assert await order.result() == ["dispatch"]
