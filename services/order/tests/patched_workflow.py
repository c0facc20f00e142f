"""An order's life that somebody changed: just so, or behind `workflow.patched`."""

import asyncio
from enum import StrEnum
from typing import ClassVar

from temporalio import workflow

from fuze_contracts import order, shipping
from fuze_contracts.order import PlaceOrder
from fuze_order import calls
from fuze_order.workflows import OrderWorkflow


class Change(StrEnum):
    """What is done otherwise than today."""

    A_STEP_MORE = "a-step-more"
    """The address is judged once more before anybody is asked for approval."""
    A_TIMER = "a-timer"
    """A second passes before the charge."""
    ANOTHER_ORDER = "another-order"
    """Shipping is asked for before the money is."""
    A_STEP_LESS = "a-step-less"
    """Nobody writes that shipping has started."""


@workflow.defn(name="OrderWorkflow")
class ChangedWorkflow(OrderWorkflow):
    """Today's life but for one change, which a test sets before it runs."""

    change: ClassVar[Change]
    is_behind_patched: ClassVar[bool]

    @workflow.init
    def __init__(self, command: PlaceOrder) -> None:
        super().__init__(command)

    @workflow.run
    async def run(self, command: PlaceOrder) -> order.OrderResult:
        return await super().run(command)

    async def _wait_for_approval(self) -> None:
        if self._has(Change.A_STEP_MORE):
            await self._progress.is_valid(self._address)
        await super()._wait_for_approval()

    async def _charge(self) -> None:
        if self._has(Change.A_TIMER):
            await workflow.sleep(1)
        if self._has(Change.ANOTHER_ORDER) and not self._shipment:
            self._shipment = await self._start_shipping()
        await super()._charge()

    async def _start_shipping(self) -> asyncio.Future[shipping.ShippingOutcome]:
        if self._has(Change.A_STEP_LESS):
            return asyncio.ensure_future(calls.ask_for_shipping(self._order, self._address))
        return await super()._start_shipping()

    def _has(self, change: Change) -> bool:
        if change is not self.change:
            return False
        return workflow.patched(change) if self.is_behind_patched else True
