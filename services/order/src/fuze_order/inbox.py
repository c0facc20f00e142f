"""What an order is told, by signal or by update, and how whoever told it learns what came of it."""

from typing import Any

from temporalio import workflow

from fuze_contracts import order as contract
from fuze_contracts.order import (
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    ChangePaymentMethod,
    EventType,
    OrderSnapshot,
    OrderStatus,
    PlaceOrder,
    RejectOrder,
    RetryOrder,
    StepFailure,
)
from fuze_contracts.shipping import DeliveryStatus, DeliveryStatusChanged
from fuze_order.asked import Asked, refusal
from fuze_order.progress import OrderProgress

_MOST_ADDRESSES = 50
_MOST_CANCELLATIONS = 50
"""Each is in the history: without a bound one caller could fill that of a paid order."""

_ENDS_OF_A_PARCEL = {DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED}
_BEFORE_APPROVAL = {OrderStatus.RECEIVED, OrderStatus.AWAITING_APPROVAL}


class OrderInbox(contract.OrderWorkflow):
    """The handlers of an order. They keep what was asked; the order's life decides it.

    A validator refuses what is known to be too late, without a trace in the history.
    """

    def __init__(self, command: PlaceOrder) -> None:
        self._progress = OrderProgress(command, on_cancel=self._cancel_from_temporal)
        self._address = command.address
        self._approval: Asked[ApproveOrder] | None = None
        self._rejection: Asked[RejectOrder] | None = None
        self._cancellation: Asked[CancelOrder] | None = None
        self._cancelled_by_temporal = False
        self._is_handed_over = False
        self._addresses: list[Asked[ChangeAddress]] = []
        self._addresses_left = _MOST_ADDRESSES
        self._cancellations_left = _MOST_CANCELLATIONS
        self._payment_method: Asked[ChangePaymentMethod] | None = None
        self._trouble: StepFailure | None = None
        self._parcel: DeliveryStatus | None = None

    @workflow.signal
    async def approve(self, approval: ApproveOrder = ApproveOrder()) -> None:
        """Let a waiting order proceed; without effect once it does, or has ended."""
        self._approval = self._approval or Asked(approval)

    @workflow.signal
    async def cancel(self, request: CancelOrder = CancelOrder()) -> None:
        """Stop the order; without effect once its parcel is being handed to the carrier."""
        if self._may_still_be_cancelled() and not self._cancellation:
            self._cancellations_left -= 1
            self._cancellation = Asked(request)

    @workflow.signal
    async def change_address(self, request: ChangeAddress) -> None:
        """Send the parcel elsewhere; without effect once it is being handed to the carrier."""
        if self._addresses_left and not self._is_handed_over:
            self._addresses_left -= 1
            self._addresses.append(Asked(request))

    @workflow.signal
    async def report_step_failure(self, trouble: StepFailure) -> None:
        """Hear from the shipment that a step of it keeps failing."""
        self._trouble = trouble

    @workflow.signal
    async def report_delivery_status(self, parcel: DeliveryStatusChanged) -> None:
        """Hear from the shipping service how far the parcel has come; only its end matters."""
        if parcel.status in _ENDS_OF_A_PARCEL:
            self._parcel = parcel.status

    @workflow.update
    async def approve_order(  # type: ignore[override] # the SDK types a handler by its class
        self, approval: ApproveOrder
    ) -> OrderSnapshot:
        """Let a waiting order proceed."""
        self._approval = asked = Asked(approval)
        return await self._answer(asked)

    @approve_order.validator
    def _may_approve(self, approval: ApproveOrder) -> None:
        del approval
        if self._approval:
            raise refusal(contract.ALREADY_APPROVED, "the order is approved")
        self._still_before_approval()

    @workflow.update
    async def reject_order(  # type: ignore[override] # see approve_order
        self, request: RejectOrder
    ) -> OrderSnapshot:
        """End a waiting order."""
        self._rejection = asked = Asked(request)
        return await self._answer(asked)

    @reject_order.validator
    def _may_reject(self, request: RejectOrder) -> None:
        del request
        self._still_before_approval()

    @workflow.update
    async def cancel_order(  # type: ignore[override] # see approve_order
        self, request: CancelOrder
    ) -> OrderSnapshot:
        """Stop the order and give its money back."""
        self._cancellations_left -= 1
        self._cancellation = asked = Asked(request)
        return await self._answer(asked)

    @cancel_order.validator
    def _may_cancel(self, request: CancelOrder) -> None:
        del request
        if self._cancellation:
            raise refusal(contract.ALREADY_CANCELLED, "the order is being cancelled")
        if not self._may_still_be_cancelled():
            raise refusal(contract.TOO_LATE_TO_CANCEL, "the parcel is handed over")

    @workflow.update
    async def change_order_address(  # type: ignore[override] # see approve_order
        self, request: ChangeAddress
    ) -> OrderSnapshot:
        """Send the parcel elsewhere."""
        self._addresses_left -= 1
        asked = Asked(request)
        self._addresses.append(asked)
        return await self._answer(asked)

    @change_order_address.validator
    def _may_change_address(self, request: ChangeAddress) -> None:
        del request
        stopped = self._cancellation or self._progress.status.is_terminal
        if stopped or self._is_handed_over:
            raise refusal(contract.TOO_LATE_TO_CHANGE_ADDRESS, "the parcel's way is settled")
        if not self._addresses_left:
            raise refusal(contract.ADDRESS_CHANGE_LIMIT, "the address changed too often")

    @workflow.update
    async def change_payment_method(  # type: ignore[override] # see approve_order
        self, request: ChangePaymentMethod
    ) -> OrderSnapshot:
        """Try again with another payment method."""
        self._payment_method = asked = Asked(request)
        return await self._answer(asked)

    @change_payment_method.validator
    def _may_change_payment_method(self, request: ChangePaymentMethod) -> None:
        del request
        awaited = self._progress.status is OrderStatus.AWAITING_PAYMENT_METHOD
        if not awaited or self._payment_method or self._cancellation:
            raise refusal(
                contract.NOT_AWAITING_PAYMENT_METHOD, "the order waits for no payment method"
            )

    @workflow.update
    async def retry_step(  # type: ignore[override] # see approve_order
        self, request: RetryOrder
    ) -> OrderSnapshot:
        """Try the step that needs attention now."""
        self._progress.retry_asked = asked = Asked(request)
        return await self._answer(asked)

    @retry_step.validator
    def _may_retry(self, request: RetryOrder) -> None:
        del request
        if self._progress.retry_asked or not self._progress.needs_attention:
            raise refusal(contract.NOTHING_TO_RETRY, "no step needs attention")

    @workflow.query
    def status(self) -> OrderSnapshot:
        """Say where the order stands now."""
        return self._progress.live_status()

    async def _hang_up(self) -> None:
        """Answer whoever still waits for one: the order has ended."""
        ended = f"the order has ended: {self._progress.status}"
        workflow.set_current_details(f"ended: {self._progress.status}")
        unanswered: list[tuple[Asked[Any] | None, str]] = [
            (self._approval, contract.NOT_AWAITING_APPROVAL),
            (self._rejection, contract.NOT_AWAITING_APPROVAL),
            (self._cancellation, contract.TOO_LATE_TO_CANCEL),
            (self._payment_method, contract.NOT_AWAITING_PAYMENT_METHOD),
            (self._progress.retry_asked, contract.NOTHING_TO_RETRY),
            *((one, contract.TOO_LATE_TO_CHANGE_ADDRESS) for one in self._addresses),
        ]
        for asked, why in unanswered:
            if asked:
                asked.refuse(why, ended)
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _decide(
        self,
        asked: Asked[ApproveOrder] | Asked[RejectOrder] | Asked[CancelOrder],
        event: EventType,
        otherwise: str | None = None,
    ) -> None:
        """Commit what somebody asked for, with their reason, and let them know."""
        request = asked.request
        reason = None if isinstance(request, ApproveOrder) else request.reason or otherwise
        await self._progress.record(event, actor=request.actor, reason=reason)
        asked.accept()

    async def _change_address(self) -> bool:
        """Take over the next new address, unless it breaks a rule; say whether it did not."""
        asked = self._addresses[0]
        committed = await self._progress.record(
            EventType.ADDRESS_CHANGED, actor=asked.request.actor, address=asked.request.address
        )
        self._addresses.remove(asked)
        if committed.type is not EventType.ADDRESS_CHANGED or committed.address is None:
            asked.refuse(
                contract.ADDRESS_INVALID, "the address breaks a rule; the event says which"
            )
            return False
        self._address = committed.address
        asked.accept()
        return True

    def _approve_small_order(self, placed: PlaceOrder) -> None:
        """Approve of an order that needs nobody's approval."""
        limit = placed.auto_approve_limit
        if limit is not None and placed.total_minor <= limit:
            self._approval = self._approval or Asked(ApproveOrder(actor="auto-approval"))

    async def _answer(self, asked: Asked[Any]) -> OrderSnapshot:
        await asked.answer()
        return self._progress.live_status()

    def _may_still_be_cancelled(self) -> bool:
        ended = self._is_handed_over or self._progress.status.is_terminal
        return not ended and self._cancellations_left > 0

    def _is_cancelled(self) -> bool:
        """Whether somebody wants the order stopped; asked anew after each wait."""
        return self._cancellation is not None

    def _has_new_address(self) -> bool:
        """Whether somebody wants the parcel sent elsewhere; asked anew after each wait."""
        return bool(self._addresses)

    def _take_trouble(self) -> StepFailure | None:
        """Return what the shipment reported since this was last asked."""
        trouble, self._trouble = self._trouble, None
        return trouble

    def _is_disturbed(self) -> bool:
        """Whether something came that concerns a parcel on its way to the carrier."""
        return bool(
            self._cancellation or self._addresses or self._trouble or self._progress.retry_asked
        )

    def _still_before_approval(self) -> None:
        decided = self._approval or self._rejection or self._cancellation
        if decided or self._progress.status not in _BEFORE_APPROVAL:
            raise refusal(contract.NOT_AWAITING_APPROVAL, "the order waits for no approval")

    def _cancel_from_temporal(self) -> None:
        self._cancelled_by_temporal = True
        if not self._is_handed_over:
            self._cancel_ourselves("temporal", "cancelled through Temporal")

    def _cancel_ourselves(self, actor: str, reason: str) -> None:
        request = CancelOrder(actor=actor, reason=reason)
        self._cancellation = self._cancellation or Asked(request)
