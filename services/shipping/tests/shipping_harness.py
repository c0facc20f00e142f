"""A shipping worker over real SQL and the sandbox carrier, with a fake of the order's workflow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from fuze_contracts.address import Address
from fuze_contracts.base import WORKFLOW_BUSY
from fuze_contracts.order import StepFailure
from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    DeliveryStatusChanged,
    ParcelItem,
    ShipOrder,
    ShippingOutcome,
)
from fuze_contracts.workflow_ids import shipping_workflow_id
from fuze_sandbox.store import SandboxStore
from fuze_shipping import workflows
from fuze_shipping.activities import ShippingActivities, derive_shipment_id
from fuze_shipping.messages import ShipmentState
from fuze_shipping.order_reports import OrderReports
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.workflows import ShippingWorkflow

Handle = WorkflowHandle[ShippingWorkflow, ShippingOutcome]


@workflow.defn(name="OrderWorkflow")
class FakeOrderWorkflow:
    """Stands in for the order: it ends on request, with the reports that it got."""

    @workflow.init
    def __init__(self, rejections: int = 0) -> None:
        self._rejections = rejections
        self._reports: list[str] = []
        self._may_end = False

    @workflow.run
    async def run(self, rejections: int = 0) -> list[str]:
        """Reject so many reports, as in the middle of a step."""
        del rejections  # stored by __init__
        await workflow.wait_condition(lambda: self._may_end)
        return self._reports

    @workflow.signal
    def end(self) -> None:
        self._may_end = True

    @workflow.update
    async def report_step_failure(self, failure: StepFailure) -> None:
        self._reports.append(failure.step)

    @workflow.update
    async def report_delivery_status(self, report: DeliveryStatusChanged) -> None:
        self._reports.append(report.status)

    @report_delivery_status.validator
    def _validate_report_delivery_status(self, report: DeliveryStatusChanged) -> None:
        del report
        if self._rejections:
            self._rejections -= 1
            raise ApplicationError("a step runs", type=WORKFLOW_BUSY, non_retryable=True)


@dataclass
class Harness:
    """A shipping worker, and the carrier's records."""

    environment: WorkflowEnvironment
    store: SandboxStore
    activities: ShippingActivities
    repository: ShipmentRepository

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        reports = OrderReports()
        async with Worker(
            self.environment.client,
            task_queue=SHIPPING_TASK_QUEUE,
            workflows=[
                ShippingWorkflow,
                workflows.CarrierWebhookWorkflow,
                FakeOrderWorkflow,
            ],
            activities=[
                self.activities.shipment_dispatched,
                self.activities.shipment_cancelled,
                self.activities.shipment_address_changed,
                self.activities.delivery_status_refreshed,
                reports.delivery_status_reported,
                reports.step_failure_reported,
            ],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ):
            yield

    async def ship(
        self,
        order_id: UUID,
        *,
        line1: str | None = None,
        number: int = 1,
        step_failure_alert_after: timedelta = timedelta(days=1),
    ) -> Handle:
        return await self.environment.client.start_workflow(
            ShippingWorkflow.run,
            ShipOrder(
                order_id=order_id,
                address=Address(country="US", postal_code="10001", line1=line1),
                number=number,
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


async def wait_until_retrying(
    handle: WorkflowHandle[Any, Any], activity_type: str | None = None
) -> None:
    """Wait until the first attempt of a pending activity has failed."""
    async with asyncio.timeout(20):
        while True:
            pending = (await handle.describe()).raw_description.pending_activities
            if any(
                one.attempt > 1 and activity_type in {None, one.activity_type.name}
                for one in pending
            ):
                return
            await asyncio.sleep(0.02)


async def wait_until_recorded(
    handle: WorkflowHandle[Any, Any], event_type: EventType.ValueType, *, is_last: bool = False
) -> None:
    """Wait until the history has such an event, or ends with it."""
    async with asyncio.timeout(20):
        while True:
            events = (await handle.fetch_history()).events
            if any(one.event_type == event_type for one in events[-1 if is_last else 0 :]):
                return
            await asyncio.sleep(0.02)
