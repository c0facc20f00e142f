"""Scenarios of orders whose workflow is gone, or that missed the end of their shipment."""

from datetime import UTC, datetime

from history_scenarios import Handle, Scenarios, order_id, until

from fuze_contracts.order import ORDER_TASK_QUEUE, CancelOrder, OrderWorkflow, Recovery


class RecoveryScenarios(Scenarios):
    """Each order continues from its row."""

    async def recovered(self) -> Handle:
        order = await self._waiting()
        await order.terminate("by mistake")
        again = await self._place(
            order_id(order), recovery=Recovery(actor="grace", received_at=datetime.now(UTC))
        )
        await until(again, "approval")
        await again.signal(OrderWorkflow.approve)
        return again

    async def recovered_and_cancelled(self) -> Handle:
        order = await self._waiting()
        await order.terminate("by mistake")
        return await self._place(
            order_id(order),
            recovery=Recovery(
                actor="grace",
                received_at=datetime.now(UTC),
                cancellation=CancelOrder(actor="grace", reason="fraud"),
            ),
        )

    async def shipment_rechecked(self) -> Handle:
        order = await self._preparing()
        await self._shipment(order).terminate("as if its end were lost")
        await order.signal(OrderWorkflow.recheck_shipment)
        await self._control("carrier")
        return order

    async def orders_reconciled(self) -> Handle:
        cancelled = await self._waiting()
        await cancelled.signal(OrderWorkflow.cancel)
        await cancelled.result()
        return await self.client.start_workflow(
            "ReconcileOrdersWorkflow",
            {"look_back": "PT1H", "idle_for": "PT0.001S"},
            id="reconcile-orders-once",
            task_queue=ORDER_TASK_QUEUE,
        )
