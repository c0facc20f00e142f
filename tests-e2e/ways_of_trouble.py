"""Orders whose steps fail, or whose workflow tasks are lost."""

import contextlib
from datetime import timedelta

from temporalio.api.enums.v1 import EventType as Recorded
from temporalio.client import WorkflowUpdateFailedError
from ways import (
    CHANGED_MIND,
    ELSEWHERE,
    REFUSED,
    Handle,
    Ways,
    order_id,
    until,
    until_attention,
    until_ended,
    until_recorded,
)

from fuze_contracts.order import ApproveOrder, OrderWorkflow, RetryOrder, StepFailure
from fuze_contracts.shipping import SHIPPING_TASK_QUEUE, Address, ShipOrder, ShippingWorkflow
from fuze_contracts.workflow_ids import shipping_workflow_id

_SOON = timedelta(seconds=2)


class WaysOfTrouble(Ways):
    """Each goes on, whatever fails."""

    async def refund_needs_attention(self) -> Handle:
        order = await self._preparing(step_failure_alert_after=timedelta(seconds=2))
        await self._control("psp", available=False)
        await order.execute_update(OrderWorkflow.cancel_order, CHANGED_MIND)
        await until_attention(order)
        await self._control("psp")
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        await self._control("carrier")
        return order

    async def hand_over_needs_attention(self) -> Handle:
        order = await self._preparing(step_failure_alert_after=timedelta(seconds=2))
        await until_attention(order)
        await self._control("carrier")
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        return order

    async def hand_over_recovers(self) -> Handle:
        order = await self._preparing(step_failure_alert_after=_SOON)
        await until_attention(order)
        await self._control("carrier")
        return order

    async def charge_needs_attention(self) -> Handle:
        order = await self._charging(step_failure_alert_after=_SOON)
        await until_attention(order)
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        await self._control("psp")
        return order

    async def charge_recovers(self) -> Handle:
        order = await self._charging(step_failure_alert_after=_SOON)
        await until_attention(order)
        await self._control("psp")
        return order

    async def charge_failed_for_good(self) -> Handle:
        order = await self._charge_failed()
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        return order

    async def cancelled_after_its_charge_failed(self) -> Handle:
        order = await self._charge_failed()
        await order.execute_update(OrderWorkflow.cancel_order, CHANGED_MIND)
        return order

    async def _charge_failed(self) -> Handle:
        """An order whose charge an operator has failed for good."""
        await self._control("psp", pause_at="before_write")
        order = await self._approved()
        await self._until_held("psp")
        await self._fail_activity(order)
        await until_attention(order)
        await self._control("psp")
        return order

    async def cancelled_as_it_was_charged(self) -> Handle:
        await self._control("psp", pause_at="before_write")
        order = await self._approved()
        await self._until_held("psp")
        async with self._stopped("order"):
            await order.signal(OrderWorkflow.cancel, CHANGED_MIND)
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

    async def shipment_ended_by_an_operator(self) -> Handle:
        order = await self._preparing(step_failure_alert_after=_SOON)
        await until_attention(order)
        await self._shipment(order).terminate()
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        await self._control("carrier")
        return order

    async def shipment_begun_before(self) -> Handle:
        await self._control("carrier", available=False)
        order = await self._waiting()
        shipment = await self.client.start_workflow(
            ShippingWorkflow.run,
            ShipOrder(order_id=order_id(order), address=Address(zip_code="10001")),
            id=shipping_workflow_id(order_id(order)),
            task_queue=SHIPPING_TASK_QUEUE,
        )
        await order.signal(OrderWorkflow.approve)
        failed = Recorded.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED
        await until_recorded(order, failed)
        await self._control("carrier")
        await until_ended(shipment)
        return order

    async def overtaken_by_an_approval(self) -> Handle:
        order = await self._waiting()
        await self._lost(order, 3, "order_approved", "approved", "pending")
        await order.signal(OrderWorkflow.cancel, CHANGED_MIND)
        return order

    async def overtaken_by_its_expiry(self) -> Handle:
        order = await self._waiting()
        await self._lost(order, 3, "order_expired", "expired", "none")
        with contextlib.suppress(WorkflowUpdateFailedError):
            await order.execute_update(OrderWorkflow.approve_order, ApproveOrder(actor="grace"))
        return order

    async def overtaken_while_preparing(self) -> Handle:
        order = await self._preparing()
        await self._lost(order, 6, "needs_attention", "preparing", "charged")
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        await self._control("carrier")
        return order

    async def overtaken_by_the_carriers_refusal(self) -> Handle:
        await self._control("carrier", pause_at="before_write")
        order = await self._approved(address=REFUSED)
        await self._until_held("carrier")
        await self._lost(order, 6, "carrier_rejected_address", "awaiting_address", "charged")
        await order.signal(OrderWorkflow.report_step_failure, StepFailure(step="dispatch"))
        await until(order, "address")
        await self._control("carrier")
        await until_recorded(order, Recorded.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        return order

    async def overtaken_while_charging(self) -> Handle:
        order = await self._charging()
        await self._lost(order, 4, "needs_attention", "approved", "pending")
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        await self._control("psp")
        return order

    async def overtaken_while_cancelling_its_charge(self) -> Handle:
        order = await self._charging()
        await self._lost(order, 4, "needs_attention", "approved", "pending")
        await order.execute_update(OrderWorkflow.cancel_order, CHANGED_MIND)
        await self._control("psp")
        return order

    async def cancelled_once_paid(self) -> Handle:
        order = await self._charged_and_lost()
        await order.execute_update(OrderWorkflow.cancel_order, CHANGED_MIND)
        await self._control("psp")
        return order

    async def readdressed_once_paid(self) -> Handle:
        order = await self._charged_and_lost()
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        await self._control("psp")
        return order

    async def _charged_and_lost(self) -> Handle:
        """An order that is paid, of which its workflow has not heard."""
        await self._control("psp", pause_at="after_write")
        order = await self._approved()
        await self._until_held("psp")
        await self._lost(order, 4, "payment_charged", "paid", "charged")
        return order

    async def _lost(
        self, order: Handle, seq: int, event: str, status: str, payment_status: str
    ) -> None:
        """Commit what a workflow task that was lost has committed before."""
        await self._execute(
            "WITH written AS ("
            " INSERT INTO orders.events (order_id, seq, type, status, payment_status, actor,"
            "  details, occurred_at)"
            " VALUES ($1, $2, $3, $4, $5, 'order-service', '{}', now()) RETURNING *)"
            " UPDATE orders.orders AS o SET status = w.status, payment_status = w.payment_status,"
            "  last_seq = w.seq, needs_attention = w.type = 'needs_attention'"
            " FROM written AS w WHERE o.id = w.order_id",
            order_id(order),
            seq,
            event,
            status,
            payment_status,
        )
