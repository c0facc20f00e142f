"""The signals and updates of an order: what was requested, until the workflow decides it."""

from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from fuze_contracts.base import WORKFLOW_BUSY
from fuze_contracts.order import (
    ADDRESS_CHANGE_LIMIT,
    ADDRESS_NEEDS_APPROVAL,
    ALREADY_APPROVED,
    ALREADY_CANCELLED,
    APPROVER_PLACED_ORDER,
    NOT_AWAITING_APPROVAL,
    NOT_AWAITING_PAYMENT_METHOD,
    NOTHING_TO_RETRY,
    TOO_LATE_TO_CANCEL,
    TOO_LATE_TO_CHANGE_ADDRESS,
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    ChangePaymentMethod,
    OrderSignal,
    OrderSnapshot,
    PlaceOrder,
    RejectOrder,
    RetryOrder,
    StepFailure,
)
from fuze_contracts.order_states import OrderStatus
from fuze_contracts.shipping import DeliveryStatus, DeliveryStatusChanged
from fuze_order.state import OrderState
from fuze_order.transitions import AWAITING_DECISION, is_approved, is_changeable
from fuze_runtime.step_gate import StepGate

Request = TypeVar("Request")

_MAX_ADDRESS_CHANGES = 50
_MAX_PENDING_ADDRESSES = 4
"""With one update of every other kind, fewer than the ten in flight that the server allows."""
_MAX_CANCELLATIONS = 50
"""Each is in the history: without a limit one caller could fill that of a paid order."""

_FINAL_DELIVERY_STATUSES = {DeliveryStatus.DELIVERED, DeliveryStatus.RETURNED}
_CANCELLED = {OrderStatus.CANCELLING, OrderStatus.CANCELLED}


class PendingRequest(Generic[Request]):
    """A request that waits for the workflow's decision.

    A signal is in the history before the workflow receives it. An update is there only once the
    workflow task that accepted it has completed.
    """

    def __init__(self, request: Request, *, is_update: bool = False) -> None:
        self.request = request
        self.is_update = is_update
        self._is_decided = False
        self._error: ApplicationError | None = None

    def accept(self) -> None:
        """Answer that what was requested is committed."""
        self._is_decided = True

    def reject(self, error_type: str, message: str) -> None:
        """Answer with an error, unless the request is decided already."""
        if not self._is_decided:
            self._is_decided, self._error = True, rejection_error(error_type, message)

    async def wait(self) -> None:
        """Return once the request is accepted.

        Raises:
            ApplicationError: it was rejected.

        """
        await workflow.wait_condition(lambda: self._is_decided)
        if self._error:
            raise self._error


def rejection_error(error_type: str, message: str) -> ApplicationError:
    """Return the error that rejects a request; `error_type` comes from the contracts."""
    return ApplicationError(message, type=error_type, non_retryable=True)


class MessageHandlers:
    """The pending requests of one order.

    A handler only stores the request; the workflow decides it and commits the decision. A validator
    rejects what is known to be too late, without an event in the history. All of them ask the
    committed status. Temporal delivers signals again after a reset.
    """

    def __init__(self, state: OrderState, gate: StepGate) -> None:
        self._state = state
        self._gate = gate
        self.approval: PendingRequest[ApproveOrder] | None = None
        self.rejection: PendingRequest[RejectOrder] | None = None
        self.cancellation: PendingRequest[CancelOrder] | None = None
        self.addresses: list[PendingRequest[ChangeAddress]] = []
        self.payment_method: PendingRequest[ChangePaymentMethod] | None = None
        self.retry: PendingRequest[RetryOrder] | None = None
        self.delivery_status: DeliveryStatus | None = None
        self.is_workflow_cancelled = False
        self._step_failure: StepFailure | None = None
        self._address_changes_left = _MAX_ADDRESS_CHANGES
        self._cancellations_left = _MAX_CANCELLATIONS

    def signal_rejection(self, signal: OrderSignal, caller: str | None = None) -> str | None:
        """Return the error type with which a caller's signal is dropped now, or None."""
        try:
            match signal:
                case OrderSignal.APPROVE:
                    self._require_approvable()
                    self._require_other_caller(caller)
                case OrderSignal.CANCEL:
                    self._require_cancellable()
                case OrderSignal.CHANGE_ADDRESS:
                    self._require_changeable_address()
        except ApplicationError as error:
            return error.type
        return None

    def approve(self, approval: ApproveOrder) -> None:
        """Store an approval, unless the order is decided."""
        if not self.signal_rejection(OrderSignal.APPROVE, approval.caller):
            self.approval = PendingRequest(approval)

    def auto_approve(self, order: PlaceOrder) -> None:
        """Store an approval of an order whose total is within the limit that needs none."""
        limit = order.auto_approve_limit
        is_decided = self.approval or self.rejection or self.cancellation
        if limit is not None and order.total_minor <= limit and not is_decided:
            self.approval = PendingRequest(ApproveOrder(actor="auto-approval"))

    def cancel(self, request: CancelOrder) -> None:
        """Store a cancellation, unless it is too late or another one is pending."""
        if not self.signal_rejection(OrderSignal.CANCEL):
            self._cancellations_left -= 1
            self.cancellation = PendingRequest(request)

    def change_address(self, request: ChangeAddress) -> None:
        """Store a new address, unless it is too late or there were too many."""
        if not self.signal_rejection(OrderSignal.CHANGE_ADDRESS):
            self._address_changes_left -= 1
            self.addresses.append(PendingRequest(request))

    def report_step_failure(self, failure: StepFailure) -> None:
        """Store that a step of the shipment keeps failing."""
        self._step_failure = failure

    def report_delivery_status(self, report: DeliveryStatusChanged) -> None:
        """Store how the delivery ended; what comes before that changes nothing."""
        if report.status in _FINAL_DELIVERY_STATUSES:
            self.delivery_status = report.status

    def validate_order_report(self, _: object) -> None:
        """Reject a report while a step runs; its sender sends it again."""
        self._require_idle()

    async def approve_order(self, approval: ApproveOrder) -> OrderSnapshot:
        """Return the order once the approval is committed."""
        self.approval = PendingRequest(approval, is_update=True)
        return await self._await_decision(self.approval)

    def validate_approve_order(self, approval: ApproveOrder) -> None:
        """Reject an approval of an order that is decided, or by the caller that placed it."""
        self._require_idle()
        self._require_approvable()
        self._require_other_caller(approval.caller)

    async def reject_order(self, request: RejectOrder) -> OrderSnapshot:
        """Return the order once the rejection is committed."""
        self.rejection = PendingRequest(request, is_update=True)
        return await self._await_decision(self.rejection)

    def validate_reject_order(self, _: RejectOrder) -> None:
        """Reject a rejection of an order that is decided."""
        self._require_idle()
        self._require_awaiting_approval()

    async def cancel_order(self, request: CancelOrder) -> OrderSnapshot:
        """Return the order once the cancellation is committed; the refund may take longer."""
        self._cancellations_left -= 1
        self.cancellation = PendingRequest(request, is_update=True)
        return await self._await_decision(self.cancellation)

    def validate_cancel_order(self, _: CancelOrder) -> None:
        """Reject a second cancellation, and one that is too late."""
        self._require_idle()
        self._require_cancellable()

    async def change_order_address(self, request: ChangeAddress) -> OrderSnapshot:
        """Return the order once the new address is committed."""
        self._address_changes_left -= 1
        pending = PendingRequest(request, is_update=True)
        self.addresses.append(pending)
        return await self._await_decision(pending)

    def validate_change_order_address(self, _: ChangeAddress) -> None:
        """Reject a new address that is too late, or one too many."""
        self._require_idle()
        self._require_changeable_address()
        if len(self.addresses) >= _MAX_PENDING_ADDRESSES:
            raise rejection_error(
                ADDRESS_CHANGE_LIMIT, "too many address changes are pending; retry later"
            )

    async def change_payment_method(self, request: ChangePaymentMethod) -> OrderSnapshot:
        """Return the order once the new payment method is committed."""
        self.payment_method = PendingRequest(request, is_update=True)
        return await self._await_decision(self.payment_method)

    def validate_change_payment_method(self, _: ChangePaymentMethod) -> None:
        """Reject a payment method that the order does not wait for."""
        self._require_idle()
        is_awaited = self._state.status is OrderStatus.AWAITING_PAYMENT_METHOD
        if not is_awaited or self.payment_method or self.cancellation:
            raise rejection_error(
                NOT_AWAITING_PAYMENT_METHOD, "the order does not wait for a payment method"
            )

    async def retry_step(self, request: RetryOrder) -> OrderSnapshot:
        """Return the order once the retry is committed."""
        self.retry = PendingRequest(request, is_update=True)
        return await self._await_decision(self.retry)

    def validate_retry_step(self, _: RetryOrder) -> None:
        """Reject a retry where no step needs one."""
        self._require_idle()
        if self.retry or not self._state.needs_attention:
            raise rejection_error(NOTHING_TO_RETRY, "no step of the order needs attention")

    def on_workflow_cancelled(self) -> None:
        """Store Temporal's cancellation of the workflow as a cancellation of the order."""
        self.is_workflow_cancelled = True
        self.request_system_cancellation("temporal", "cancelled through Temporal")

    def request_system_cancellation(self, actor: str, reason: str) -> PendingRequest[CancelOrder]:
        """Return the pending cancellation: one that no customer requested, unless there is one."""
        request = CancelOrder(actor=actor, reason=reason)
        self.cancellation = self.cancellation or PendingRequest(request)
        return self.cancellation

    def reject_cancellation(self) -> None:
        """Answer that it is too late now; a later cancellation may find the carrier unavailable."""
        if self.cancellation:
            self.cancellation.reject(TOO_LATE_TO_CANCEL, "the shipment is being dispatched")
            self.cancellation = None

    def reject_outdated(self, *, has_ended: bool = False) -> None:
        """Reject and forget the requests that the committed status no longer allows."""
        status = self._state.status
        if has_ended or status not in AWAITING_DECISION:
            self._reject(self.approval, self.rejection, error_type=NOT_AWAITING_APPROVAL)
            self.approval = self.rejection = None
        if has_ended or status is not OrderStatus.AWAITING_PAYMENT_METHOD:
            self._reject(self.payment_method, error_type=NOT_AWAITING_PAYMENT_METHOD)
            self.payment_method = None
        if has_ended or not is_changeable(status):
            too_late = ALREADY_CANCELLED if status in _CANCELLED else TOO_LATE_TO_CANCEL
            self._reject(self.cancellation, error_type=too_late)
            self._reject(*self.addresses, error_type=TOO_LATE_TO_CHANGE_ADDRESS)
            self.cancellation = None
            self.addresses.clear()
        if self._state.four_eyes and is_approved(status):
            self._reject(*self.addresses, error_type=ADDRESS_NEEDS_APPROVAL)
            self.addresses.clear()
        if has_ended or not self._state.needs_attention:
            self._reject(self.retry, error_type=NOTHING_TO_RETRY)
            self.retry = None

    def reject_approval_of_old_address(self) -> None:
        """Reject a pending approval under four eyes: it was of the address before."""
        if self._state.four_eyes:
            self._reject(self.approval, error_type=NOT_AWAITING_APPROVAL)
            self.approval = None

    def pop_step_failure(self) -> StepFailure | None:
        """Return the failure that the shipment reported since the last call."""
        failure, self._step_failure = self._step_failure, None
        return failure

    def has_change(self) -> bool:
        """Whether a cancellation or a new address is pending."""
        return bool(self.cancellation or self.addresses)

    def has_shipment_message(self) -> bool:
        """Whether something came that concerns a shipment in preparation."""
        return bool(self.has_change() or self._step_failure or self.retry)

    def _reject(self, *pending: PendingRequest[Any] | None, error_type: str) -> None:
        for one in pending:
            if one:
                one.reject(error_type, f"the order is {self._state.status}")

    async def _await_decision(self, pending: PendingRequest[Request]) -> OrderSnapshot:
        await pending.wait()
        return self._state.snapshot()

    def _require_idle(self) -> None:
        if not self._gate.is_open:
            raise rejection_error(WORKFLOW_BUSY, "the order is in the middle of a step")

    def _require_approvable(self) -> None:
        if self.approval or is_approved(self._state.status):
            raise rejection_error(ALREADY_APPROVED, "the order is approved")
        self._require_awaiting_approval()

    def _require_other_caller(self, caller: str | None) -> None:
        if self._state.four_eyes and caller in {None, self._state.owner}:
            raise rejection_error(
                APPROVER_PLACED_ORDER, "another caller than the one that placed it must approve it"
            )

    def _require_cancellable(self) -> None:
        if self.cancellation or self._state.status in _CANCELLED:
            raise rejection_error(ALREADY_CANCELLED, "the order is being cancelled")
        if not is_changeable(self._state.status) or not self._cancellations_left:
            raise rejection_error(TOO_LATE_TO_CANCEL, "the shipment is dispatched")

    def _require_changeable_address(self) -> None:
        if self.cancellation or not is_changeable(self._state.status):
            raise rejection_error(
                TOO_LATE_TO_CHANGE_ADDRESS, "the order is cancelled, or its shipment is dispatched"
            )
        if self._state.four_eyes and is_approved(self._state.status):
            raise rejection_error(
                ADDRESS_NEEDS_APPROVAL, "the order is approved for its present address"
            )
        if not self._address_changes_left:
            raise rejection_error(
                ADDRESS_CHANGE_LIMIT, f"the address changed {_MAX_ADDRESS_CHANGES} times already"
            )

    def _require_awaiting_approval(self) -> None:
        is_decided = self.approval or self.rejection or self.cancellation
        if is_decided or self._state.status not in AWAITING_DECISION:
            raise rejection_error(NOT_AWAITING_APPROVAL, "the order does not wait for approval")
