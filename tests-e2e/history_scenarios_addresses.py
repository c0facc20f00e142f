"""Scenarios of orders whose address changes."""

import contextlib
from datetime import timedelta

from history_scenarios import (
    INVALID_ADDRESS,
    NEW_ADDRESS,
    REJECTED,
    Handle,
    Scenarios,
    until,
    until_event,
    until_recorded,
    until_started,
)
from temporalio.api.enums.v1 import EventType as Recorded
from temporalio.client import WorkflowUpdateFailedError

from fuze_contracts.order import ApproveOrder, ChangePaymentMethod, OrderWorkflow


class AddressScenarios(Scenarios):
    """Each changes the address in another status, or fails to."""

    async def address_changed(self) -> Handle:
        order = await self._waiting()
        await order.signal(OrderWorkflow.change_address, NEW_ADDRESS)
        await order.signal(OrderWorkflow.approve)
        return order

    async def address_changed_while_preparing(self) -> Handle:
        order = await self._preparing()
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        await self._control("carrier")
        return order

    async def address_changed_too_late(self) -> Handle:
        await self._control("carrier", pause_at="before_write")
        order = await self._approved()
        await self._until_paused("carrier")
        with contextlib.suppress(WorkflowUpdateFailedError):
            await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        await self._control("carrier")
        return order

    async def address_corrected(self) -> Handle:
        order = await self._approved(address=REJECTED)
        await until(order, "address")
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        return order

    async def address_not_corrected(self) -> Handle:
        return await self._approved(address=REJECTED, address_timeout=timedelta(seconds=1))

    async def invalid_address(self) -> Handle:
        order = await self._waiting()
        await self._send_invalid_address(order)
        await order.signal(OrderWorkflow.approve)
        return order

    async def invalid_address_while_preparing(self) -> Handle:
        order = await self._preparing()
        await self._send_invalid_address(order)
        await self._control("carrier")
        return order

    async def address_corrected_after_invalid_address(self) -> Handle:
        order = await self._approved(address=REJECTED)
        await until(order, "address")
        await self._send_invalid_address(order)
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        return order

    async def address_changed_while_charging(self) -> Handle:
        order = await self._charging()
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        await self._control("psp")
        return order

    async def approval_of_old_address(self) -> Handle:
        approval = ApproveOrder(caller="approver")
        order = await self._waiting(four_eyes=True, owner="shop")
        async with self._locked_events():
            await order.signal(OrderWorkflow.change_address, NEW_ADDRESS)
            await until_started(order)
            await order.signal(OrderWorkflow.approve, approval)
        await until_event(order, 3)
        await order.execute_update(OrderWorkflow.approve_order, approval)
        return order

    async def address_changed_after_decline(self) -> Handle:
        order = await self._approved(payment_method="pm_declined")
        await until(order, "payment_method")
        await order.execute_update(OrderWorkflow.change_order_address, NEW_ADDRESS)
        visa = ChangePaymentMethod(payment_method="pm_card_visa")
        await order.execute_update(OrderWorkflow.change_payment_method, visa)
        return order

    async def address_changed_during_carrier_rejection(self) -> Handle:
        await self._control("carrier", pause_at="before_write")
        order = await self._approved(address=REJECTED)
        await self._until_paused("carrier")
        async with self._stopped("order"):
            await order.signal(OrderWorkflow.change_address, NEW_ADDRESS)
            await self._control("carrier")
            await until_recorded(order, Recorded.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
        return order

    @staticmethod
    async def _send_invalid_address(order: Handle) -> None:
        with contextlib.suppress(WorkflowUpdateFailedError):
            await order.execute_update(OrderWorkflow.change_order_address, INVALID_ADDRESS)
