"""Scenarios of the other services' workflows: shipments, webhooks, refunds, reconciliation."""

import asyncio
import contextlib
from datetime import timedelta
from uuid import UUID, uuid4

from history_scenarios import (
    REJECTED,
    Handle,
    Scenarios,
    order_id,
    until,
    until_ended,
    until_recorded,
)
from temporalio.api.enums.v1 import EventType as Recorded
from temporalio.client import WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from fuze_contracts.address import Address
from fuze_contracts.money import Money
from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    PaymentWebhookWorkflow,
    RefreshPayment,
    RefundPayment,
    RefundWorkflow,
)
from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    CarrierWebhookWorkflow,
    RefreshShipment,
    ShipOrder,
    ShippingWorkflow,
)
from fuze_contracts.workflow_ids import (
    carrier_webhook_workflow_id,
    payment_webhook_workflow_id,
    refund_workflow_id,
    shipping_workflow_id,
)

_ADDRESS = Address(country="US", postal_code="10001")


class ShipmentScenarios(Scenarios):
    """Shipments without an order, and events of the carrier."""

    async def address_rejected(self) -> Handle:
        return await self._ship(address=REJECTED)

    async def cancelled_too_late(self) -> Handle:
        await self._control("carrier", pause_at="before_write")
        shipment = await self._ship()
        await self._until_paused("carrier")
        await shipment.cancel()
        await until_recorded(shipment, Recorded.EVENT_TYPE_MARKER_RECORDED)
        await self._control("carrier")
        return shipment

    async def failed_for_good(self) -> Handle:
        await self._control("carrier", pause_at="before_write")
        shipment = await self._ship()
        await self._until_paused("carrier")
        await self._fail_activity(shipment)
        await until_ended(shipment)
        await self._control("carrier")
        return shipment

    async def cancelled_before_start(self) -> Handle:
        await self._control("carrier", available=False)
        unknown = uuid4()
        first = await self._ship(unknown)
        await until_recorded(first, Recorded.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
        await first.cancel()
        await until_ended(first)
        await self._control("carrier")
        return await self._ship(unknown)

    async def failure_report_without_order(self) -> Handle:
        await self._control("carrier", available=False)
        shipment = await self._ship(step_failure_alert_after=timedelta(seconds=2))
        await until_recorded(shipment, Recorded.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
        await self._control("carrier")
        return shipment

    async def dispatched_without_database(self) -> Handle:
        async with self._without_database():
            shipment = await self._ship()
            await until_recorded(shipment, Recorded.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
        return shipment

    async def carrier_event_for_running_order(self) -> Handle:
        return await self._receive_carrier_event(await self._tracking())

    async def carrier_event_for_closed_order(self) -> Handle:
        order = await self._approved()
        await until_ended(order)
        return await self._receive_carrier_event(order)

    async def _ship(
        self,
        unknown: UUID | None = None,
        *,
        address: Address = _ADDRESS,
        step_failure_alert_after: timedelta = timedelta(hours=1),
    ) -> Handle:
        command = ShipOrder(
            order_id=unknown or uuid4(),
            address=address,
            step_failure_alert_after=step_failure_alert_after,
        )
        return await self.client.start_workflow(
            ShippingWorkflow.run,
            command,
            id=shipping_workflow_id(command.order_id),
            task_queue=SHIPPING_TASK_QUEUE,
        )

    async def _receive_carrier_event(self, order: Handle) -> Handle:
        parcel = await self._get_parcel(order)
        return await self.client.start_workflow(
            CarrierWebhookWorkflow.run,
            RefreshShipment(shipment_id=UUID(parcel["shipment_id"])),
            id=carrier_webhook_workflow_id(UUID(parcel["shipment_id"])),
            task_queue=SHIPPING_TASK_QUEUE,
        )


class PaymentScenarios(Scenarios):
    """Refunds, reconciliation, and events of the payment provider."""

    async def refunded(self) -> Handle:
        return await self._refund(1999)

    async def refund_rejected(self) -> Handle:
        return await self._refund(1_000_000)

    async def refund_failed(self) -> Handle:
        order = await self._shipped()
        charge = await self._get_charge(order)
        # The provider has refunded most of it, and Fuze does not know.
        elsewhere = {
            "refund_id": str(uuid4()),
            "charge_id": charge["id"],
            "amount_minor": charge["amount_minor"] - 1,
        }
        response = await self.sandbox.post(
            "/psp/refunds", json=elsewhere, headers={"Idempotency-Key": elsewhere["refund_id"]}
        )
        response.raise_for_status()
        return await self._refund(1999, of=order)

    async def refunded_after_outage(self) -> Handle:
        order = await self._shipped()
        await self._control("psp", available=False)
        refund = await self._refund(1999, of=order)
        while not (pending := (await refund.describe()).raw_description.pending_activities) or (
            pending[0].activity_type.name != "payment_refunded" or pending[0].attempt == 1
        ):
            await asyncio.sleep(0.1)
        await self._control("psp")
        return refund

    async def refund_needs_attention(self) -> Handle:
        order = await self._shipped()
        await self._control("psp", available=False)
        refund = await self._refund(1999, of=order, step_failure_alert_after=timedelta(seconds=2))
        await until_recorded(refund, Recorded.EVENT_TYPE_ACTIVITY_TASK_COMPLETED, 3)
        await self._control("psp")
        return refund

    async def refund_failed_for_good(self) -> Handle:
        order = await self._shipped()
        await self._control("psp", pause_at="before_write")
        refund = await self._refund(1999, of=order)
        await self._until_paused("psp")
        await self._fail_activity(refund)
        await until_ended(refund)
        await self._control("psp")
        return refund

    async def reconciled(self) -> Handle:
        await self._shipped()
        return await self.client.start_workflow(
            "ReconcilePaymentsWorkflow",
            {"look_back": "P3D", "idle_for": "PT60S"},
            id="reconcile-payments-once",
            task_queue=PAYMENT_TASK_QUEUE,
        )

    async def reviewed_payment_decided(self) -> Handle:
        order = await self._approved(payment_method="pm_under_review")
        await until(order, "payment")
        charge = None
        while charge is None:
            with contextlib.suppress(ValueError):
                charge = await self._get_charge(order)
            await asyncio.sleep(0.1)
        decide = f"/psp/charges/{charge['id']}/decide"
        (await self.sandbox.post(decide, json={"status": "charged"})).raise_for_status()
        return await self._refresh_payment(UUID(charge["payment_id"]))

    async def event_for_unknown_payment(self) -> Handle:
        return await self._refresh_payment(uuid4())

    async def _shipped(self) -> Handle:
        order = await self._approved()
        await until_ended(order)
        return order

    async def _refund(
        self,
        amount_minor: int,
        of: Handle | None = None,
        step_failure_alert_after: timedelta = timedelta(hours=1),
    ) -> Handle:
        order = of or await self._shipped()
        command = RefundPayment(
            order_id=order_id(order),
            payment_token=f"{order_id(order)}:1",
            refund_id=uuid4(),
            amount=Money(amount_minor=amount_minor, currency="USD"),
            reason="one was broken",
            step_failure_alert_after=step_failure_alert_after,
        )
        workflow_id = refund_workflow_id(command.order_id, command.refund_id)
        start = WithStartWorkflowOperation(
            RefundWorkflow.run,
            command,
            id=workflow_id,
            task_queue=PAYMENT_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        )
        await self.client.execute_update_with_start_workflow(
            RefundWorkflow.reserve, start_workflow_operation=start
        )
        return self.client.get_workflow_handle_for(RefundWorkflow.run, workflow_id)

    async def _refresh_payment(self, payment_id: UUID) -> Handle:
        return await self.client.start_workflow(
            PaymentWebhookWorkflow.run,
            RefreshPayment(payment_id=payment_id),
            id=payment_webhook_workflow_id(payment_id),
            task_queue=PAYMENT_TASK_QUEUE,
        )
