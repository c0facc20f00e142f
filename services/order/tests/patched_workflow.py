"""Changed versions of OrderWorkflow: with and without `workflow.patched`."""

import asyncio
from enum import StrEnum
from typing import ClassVar

from temporalio import workflow

from fuze_contracts import order, shipping
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_states import OrderStatus
from fuze_order import service_calls
from fuze_order.workflows import OrderWorkflow


class Change(StrEnum):
    """What the changed workflow does differently."""

    ADDED_STEP = "added-step"
    """The address is validated again before the approval."""
    ADDED_TIMER = "added-timer"
    """A second passes before the charge."""
    REORDERED_STEPS = "reordered-steps"
    """The shipment is requested before the charge."""
    REMOVED_STEP = "removed-step"
    """The order is not charged."""


@workflow.defn(name="OrderWorkflow")
class PatchedWorkflow(OrderWorkflow):
    """The current workflow with one change, which a test sets before it runs."""

    change: ClassVar[Change]
    is_behind_patched: ClassVar[bool]

    @workflow.init
    def __init__(self, command: PlaceOrder) -> None:
        super().__init__(command)
        self._early_shipment: asyncio.Future[shipping.ShippingOutcome] | None = None

    @workflow.run
    async def run(self, command: PlaceOrder) -> order.OrderResult:
        return await super().run(command)

    async def _await_approval(self) -> None:
        if self._has(Change.ADDED_STEP):
            await self._steps.validate_address(self._state.address)
        await super()._await_approval()

    async def _collect_payment(self) -> None:
        if self._has(Change.ADDED_TIMER):
            await workflow.sleep(1)
        if not self._early_shipment and self._has(Change.REORDERED_STEPS):
            self._early_shipment = asyncio.ensure_future(
                service_calls.ship_order(self._order, self._state.address, 0)
            )
        if self._has(Change.REMOVED_STEP):
            self._state.status = OrderStatus.PREPARING
        else:
            await super()._collect_payment()

    def _has(self, change: Change) -> bool:
        if change is not self.change:
            return False
        return workflow.patched(change) if self.is_behind_patched else True
