"""Scenarios of orders without failures: every end, and every cancellation."""

import asyncio
import contextlib
from datetime import timedelta

from history_scenarios import (
    CANCEL,
    NOT_SERVED,
    REJECTED,
    Handle,
    Scenarios,
    order_id,
    until,
    until_ended,
    until_recorded,
)
from temporalio.api.enums.v1 import EventType as Recorded
from temporalio.client import WorkflowUpdateFailedError

from fuze_contracts.order import (
    ApproveOrder,
    CancelOrder,
    ChangePaymentMethod,
    OrderWorkflow,
    RejectOrder,
)
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.order_states import OrderStatus
from fuze_payment.domain import payment_id
from fuze_testing.temporal import add_search_attributes

_VISA = ChangePaymentMethod(payment_method="pm_card_visa")


class OrderScenarios(Scenarios):
    """Each ends differently, or comes to its end differently."""

    async def shipped(self) -> Handle:
        return await self._approved()

    async def shipped_with_search_attributes(self) -> Handle:
        await add_search_attributes(self.client)
        return await self._approved(search_attributes=True)

    async def shipped_free(self) -> Handle:
        return await self._approved(lines=())

    async def completed(self) -> Handle:
        line = OrderLine(sku="EBOOK", quantity=1, unit_price_minor=999, requires_shipping=False)
        return await self._approved(lines=(line,), address=None)

    async def shipped_without_approval(self) -> Handle:
        return await self._place(None, auto_approve_limit=5997)

    async def rejected(self) -> Handle:
        return await self._place(None, address=NOT_SERVED)

    async def rejected_by_approver(self) -> Handle:
        order = await self._waiting()
        await order.execute_update(OrderWorkflow.reject_order, RejectOrder(actor="grace"))
        return order

    async def expired(self) -> Handle:
        return await self._place(None, approval_timeout=timedelta(seconds=1))

    async def expired_after_reminder(self) -> Handle:
        return await self._place(
            None,
            approval_timeout=timedelta(seconds=2),
            approval_reminder_before=timedelta(seconds=1),
        )

    async def approved_by_update(self) -> Handle:
        order = await self._waiting()
        await order.execute_update(OrderWorkflow.approve_order, ApproveOrder(actor="grace"))
        return order

    async def payment_declined(self) -> Handle:
        return await self._approved(
            payment_method="pm_declined", payment_method_timeout=timedelta(seconds=1)
        )

    async def paid_with_another_method(self) -> Handle:
        order = await self._approved(payment_method="pm_declined")
        await until(order, "payment_method")
        await order.execute_update(OrderWorkflow.change_payment_method, _VISA)
        return order

    async def cancelled(self) -> Handle:
        order = await self._waiting()
        await order.signal(OrderWorkflow.cancel, CANCEL)
        return order

    async def cancelled_by_temporal(self) -> Handle:
        order = await self._waiting()
        await order.cancel()
        return order

    async def cancelled_after_decline(self) -> Handle:
        order = await self._approved(payment_method="pm_declined")
        await until(order, "payment_method")
        await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
        return order

    async def cancelled_while_charging(self) -> Handle:
        order = await self._charging()
        await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
        await self._control("psp")
        return order

    async def cancelled_while_preparing(self) -> Handle:
        order = await self._preparing()
        await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
        await self._control("carrier")
        return order

    async def cancelled_by_temporal_while_preparing(self) -> Handle:
        order = await self._preparing()
        await order.cancel()
        while (await order.query(OrderWorkflow.status)).status is OrderStatus.PREPARING:
            await asyncio.sleep(0.1)
        await self._control("carrier")
        return order

    async def cancelled_through_shipment(self) -> Handle:
        order = await self._preparing()
        await self._shipment(order).cancel()
        while (await order.query(OrderWorkflow.status)).status is OrderStatus.PREPARING:
            await asyncio.sleep(0.1)
        await self._control("carrier")
        return order

    async def cancelled_too_late(self) -> Handle:
        await self._control("carrier", pause_at="before_write")
        order = await self._approved()
        await self._until_paused("carrier")
        with contextlib.suppress(WorkflowUpdateFailedError):
            await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
        await self._control("carrier")
        return order

    async def delivered(self) -> Handle:
        order = await self._tracking()
        await self._report(order, "delivered")
        return order

    async def returned(self) -> Handle:
        order = await self._tracking()
        await self._report(order, "returned")
        return order

    async def tracking_period_elapsed(self) -> Handle:
        return await self._approved(delivery_tracking_period=timedelta(seconds=2))

    async def cancelled_by_temporal_while_tracking(self) -> Handle:
        order = await self._tracking()
        await order.cancel()
        await until(order, "delivery")
        await self._report(order, "delivered")
        return order

    async def cancelled_by_temporal_while_charging(self) -> Handle:
        order = await self._charging()
        await order.cancel()
        while (await order.query(OrderWorkflow.status)).status is OrderStatus.APPROVED:
            await asyncio.sleep(0.1)
        await self._control("psp")
        return order

    async def cancelled_with_nul_in_reason(self) -> Handle:
        order = await self._waiting()
        await order.signal(OrderWorkflow.cancel, CancelOrder(reason="changed my m\0nd"))
        return order

    async def cancelled_while_awaiting_address(self) -> Handle:
        order = await self._approved(address=REJECTED)
        await until(order, "address")
        await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
        return order

    async def declined_twice(self) -> Handle:
        order = await self._approved(payment_method="pm_declined")
        await until(order, "payment_method")
        declined_too = ChangePaymentMethod(payment_method="pm_fraud")
        await order.execute_update(OrderWorkflow.change_payment_method, declined_too)
        await until(order, "payment_method")
        await order.execute_update(OrderWorkflow.change_payment_method, _VISA)
        return order

    async def payment_token_conflict(self) -> Handle:
        order = await self._waiting(payment_method_timeout=timedelta(seconds=1))
        await self._use_token(order)
        await order.signal(OrderWorkflow.approve)
        return order

    async def cancelled_with_token_conflict(self) -> Handle:
        order = await self._waiting()
        await self._use_token(order)
        # Stopped, so that the cancellation is there before the payment service can say no.
        async with self._stopped("payment"):
            await order.signal(OrderWorkflow.approve)
            await until(order, "payment")
            await order.execute_update(OrderWorkflow.cancel_order, CANCEL)
            await until_recorded(order, Recorded.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED, 2)
        return order

    async def _use_token(self, order: Handle) -> None:
        """Have another charge under the order's first token."""
        token = f"{order_id(order)}:1"
        await self._execute(
            "INSERT INTO payments.payments (id, payment_token, order_id, amount_minor, currency,"
            " state) VALUES ($1, $2, $3, 1, 'USD', 'voided')",
            *(payment_id(order_id(order), token), token, order_id(order)),
        )

    async def order_id_taken(self) -> Handle:
        first = await self._place(None, address=NOT_SERVED)
        await until_ended(first)
        return await self._place(order_id(first))

    async def values_rejected(self) -> Handle:
        return await self._place(None, customer="ad\0")
