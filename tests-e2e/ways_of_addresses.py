"""Parcels that are to go elsewhere."""

import contextlib
from datetime import timedelta

from temporalio.api.enums.v1 import EventType as Recorded
from temporalio.client import WorkflowUpdateFailedError
from ways import ELSEWHERE, NOWHERE, REFUSED, Handle, Ways, until, until_recorded

from fuze_contracts.order import ChangePaymentMethod, OrderWorkflow


class WaysOfAddresses(Ways):
    """Each changes the address at another time, or in vain."""

    async def address_changed(self) -> Handle:
        order = await self._waiting()
        await order.signal(OrderWorkflow.change_address, ELSEWHERE)
        await order.signal(OrderWorkflow.approve)
        return order

    async def readdressed_while_preparing(self) -> Handle:
        order = await self._preparing()
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        await self._control("carrier")
        return order

    async def readdressed_too_late(self) -> Handle:
        await self._control("carrier", pause_at="before_write")
        order = await self._approved()
        await self._until_held("carrier")
        with contextlib.suppress(WorkflowUpdateFailedError):
            await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        await self._control("carrier")
        return order

    async def address_corrected(self) -> Handle:
        order = await self._approved(address=REFUSED)
        await until(order, "address")
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        return order

    async def address_never_corrected(self) -> Handle:
        return await self._approved(address=REFUSED, address_timeout=timedelta(seconds=1))

    async def address_refused(self) -> Handle:
        order = await self._waiting()
        await self._refused(order)
        await order.signal(OrderWorkflow.approve)
        return order

    async def address_refused_while_preparing(self) -> Handle:
        order = await self._preparing()
        await self._refused(order)
        await self._control("carrier")
        return order

    async def address_corrected_at_the_second_try(self) -> Handle:
        order = await self._approved(address=REFUSED)
        await until(order, "address")
        await self._refused(order)
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        return order

    async def readdressed_while_charging(self) -> Handle:
        order = await self._charging()
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        await self._control("psp")
        return order

    async def readdressed_after_a_decline(self) -> Handle:
        order = await self._approved(payment_method="pm_declined")
        await until(order, "payment_method")
        await order.execute_update(OrderWorkflow.change_order_address, ELSEWHERE)
        visa = ChangePaymentMethod(payment_method="pm_card_visa")
        await order.execute_update(OrderWorkflow.change_payment_method, visa)
        return order

    async def readdressed_as_the_carrier_refused(self) -> Handle:
        await self._control("carrier", pause_at="before_write")
        order = await self._approved(address=REFUSED)
        await self._until_held("carrier")
        async with self._stopped("order"):
            await order.signal(OrderWorkflow.change_address, ELSEWHERE)
            await self._control("carrier")
            await until_recorded(order, Recorded.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED)
        return order

    @staticmethod
    async def _refused(order: Handle) -> None:
        with contextlib.suppress(WorkflowUpdateFailedError):
            await order.execute_update(OrderWorkflow.change_order_address, NOWHERE)
