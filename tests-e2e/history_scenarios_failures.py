"""Scenarios of orders whose steps fail, or whose workflow tasks are lost."""

import contextlib
import json
from datetime import timedelta

from history_scenarios import (
    CANCEL,
    NEW_ADDRESS,
    REJECTED,
    Handle,
    Scenarios,
    order_id,
    until,
    until_attention,
    until_ended,
    until_recorded,
    until_started,
)
from temporalio.api.enums.v1 import EventType as Recorded
from temporalio.client import WorkflowUpdateFailedError

from fuze_contracts.address import Address
from fuze_contracts.order import ApproveOrder, OrderWorkflow, RetryOrder, StepFailure
from fuze_contracts.shipping import SHIPPING_TASK_QUEUE, ShipOrder, ShippingWorkflow
from fuze_contracts.workflow_ids import shipping_workflow_id

_ALERT_AFTER = timedelta(seconds=2)


class FailureScenarios(Scenarios):
    """Each order continues, whatever fails."""

    async def refund_needs_attention(self) -> Handle:
        order = await self._preparing(step_failure_alert_after=timedelta(seconds=2))
        await self._control("psp", available=False)
        await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
        await until_attention(order)
        await self._control("psp")
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        await self._control("carrier")
        return order

    async def dispatch_needs_attention(self) -> Handle:
        order = await self._preparing(step_failure_alert_after=timedelta(seconds=2))
        await until_attention(order)
        await self._control("carrier")
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        return order

    async def dispatch_recovers(self) -> Handle:
        order = await self._preparing(step_failure_alert_after=_ALERT_AFTER)
        await until_attention(order)
        await self._control("carrier")
        return order

    async def charge_needs_attention(self) -> Handle:
        order = await self._charging(step_failure_alert_after=_ALERT_AFTER)
        await until_attention(order)
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        await self._control("psp")
        return order

    async def charge_recovers(self) -> Handle:
        order = await self._charging(step_failure_alert_after=_ALERT_AFTER)
        await until_attention(order)
        await self._control("psp")
        return order

    async def charge_failed_for_good(self) -> Handle:
        order = await self._charge_failed()
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        return order

    async def cancelled_after_failed_charge(self) -> Handle:
        order = await self._charge_failed()
        await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
        return order

    async def _charge_failed(self) -> Handle:
        """Return an order whose charge an operator has failed for good."""
        await self._control("psp", pause_at="before_write")
        order = await self._approved()
        await self._until_paused("psp")
        await self._fail_activity(order)
        await until_attention(order)
        await self._control("psp")
        return order

    async def cancelled_during_charge_completion(self) -> Handle:
        await self._control("psp", pause_at="before_write")
        order = await self._approved()
        await self._until_paused("psp")
        async with self._stopped("order"):
            await order.signal(OrderWorkflow.cancel, CANCEL)
            await self._control("psp")
            await until_recorded(order, Recorded.EVENT_TYPE_ACTIVITY_TASK_COMPLETED)
        return order

    async def received_without_database(self) -> Handle:
        async with self._without_database():
            order = await self._place()
            await until_recorded(order, Recorded.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
        await until(order, "approval")
        await order.signal(OrderWorkflow.approve)
        return order

    async def approved_without_database(self) -> Handle:
        order = await self._waiting()
        async with self._without_database():
            await order.signal(OrderWorkflow.approve)
            await until_recorded(order, Recorded.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
        return order

    async def cancelled_by_temporal_without_database(self) -> Handle:
        order = await self._waiting()
        async with self._without_database():
            await order.signal(OrderWorkflow.approve)
            await until_recorded(order, Recorded.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
            await order.cancel()
            await until_recorded(order, Recorded.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED)
        return order

    async def commit_failed_by_operator(self) -> Handle:
        order = await self._waiting()
        async with self._locked_events():
            await order.signal(OrderWorkflow.approve)
            await until_started(order)
            await self._fail_activity(order)
        return order

    async def shipment_terminated_by_operator(self) -> Handle:
        order = await self._preparing(step_failure_alert_after=_ALERT_AFTER)
        await until_attention(order)
        await self._shipment(order).terminate()
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        await self._control("carrier")
        return order

    async def shipment_already_started(self) -> Handle:
        await self._control("carrier", available=False)
        order = await self._waiting()
        shipment = await self.client.start_workflow(
            ShippingWorkflow.run,
            ShipOrder(order_id=order_id(order), address=Address(country="US", postal_code="10001")),
            id=shipping_workflow_id(order_id(order)),
            task_queue=SHIPPING_TASK_QUEUE,
        )
        await order.signal(OrderWorkflow.approve)
        failed = Recorded.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED
        await until_recorded(order, failed)
        await self._control("carrier")
        await until_ended(shipment)
        return order

    async def conflict_with_approval(self) -> Handle:
        order = await self._waiting()
        await self._commit_unseen(order, 3, "order_approved", "approved", "pending")
        await order.signal(OrderWorkflow.cancel, CANCEL)
        return order

    async def conflict_with_expiry(self) -> Handle:
        order = await self._waiting()
        await self._commit_unseen(order, 3, "order_expired", "expired", "none")
        with contextlib.suppress(WorkflowUpdateFailedError):
            await order.execute_update(OrderWorkflow.approve_order, ApproveOrder(actor="grace"))
        return order

    async def conflict_while_preparing(self) -> Handle:
        order = await self._preparing()
        await self._commit_unseen(order, 6, "needs_attention", "preparing", "charged")
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        await self._control("carrier")
        return order

    async def conflict_with_carrier_rejection(self) -> Handle:
        await self._control("carrier", pause_at="before_write")
        order = await self._approved(address=REJECTED)
        await self._until_paused("carrier")
        rejection = json.dumps({"address": REJECTED.model_dump(mode="json")})
        await self._commit_unseen(
            order, 6, "carrier_rejected_address", "awaiting_address", "charged", rejection
        )
        await order.execute_update(OrderWorkflow.report_step_failure, StepFailure(step="dispatch"))
        await until(order, "address")
        await self._control("carrier")
        await until_recorded(order, Recorded.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        return order

    async def conflict_while_charging(self) -> Handle:
        order = await self._charging()
        await self._commit_unseen(order, 4, "needs_attention", "approved", "pending")
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        await self._control("psp")
        return order

    async def conflict_while_cancelling_charge(self) -> Handle:
        order = await self._charging()
        await self._commit_unseen(order, 4, "needs_attention", "approved", "pending")
        await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
        await self._control("psp")
        return order

    async def conflict_with_charge_cancelled(self) -> Handle:
        order = await self._charged_and_commit_unseen()
        await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
        await self._control("psp")
        return order

    async def conflict_with_charge_address_changed(self) -> Handle:
        order = await self._charged_and_commit_unseen()
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        await self._control("psp")
        return order

    async def _charged_and_commit_unseen(self) -> Handle:
        """Return an order that is paid, while its workflow has not received the outcome."""
        await self._control("psp", pause_at="after_write")
        order = await self._approved()
        await self._until_paused("psp")
        await self._commit_unseen(order, 4, "payment_charged", "paid", "charged")
        return order

    async def _commit_unseen(  # noqa: PLR0913, PLR0917 - the columns of an event
        self,
        order: Handle,
        seq: int,
        event: str,
        status: str,
        payment_status: str,
        details: str = "{}",
    ) -> None:
        """Commit a transition as a workflow task does that is lost afterwards."""
        await self._execute(
            "WITH written AS ("
            " INSERT INTO orders.events (order_id, seq, type, status, payment_status, actor,"
            "  details, occurred_at)"
            " VALUES ($1, $2, $3, $4, $5, 'order-service', $6, now()) RETURNING *)"
            " UPDATE orders.orders AS o SET status = w.status, payment_status = w.payment_status,"
            "  last_seq = w.seq, needs_attention = w.type = 'needs_attention'"
            " FROM written AS w WHERE o.id = w.order_id",
            order_id(order),
            seq,
            event,
            status,
            payment_status,
            details,
        )
