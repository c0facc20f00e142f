"""Fake workflows that implement the contracts of the services behind the gateway."""

from datetime import timedelta

from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from fuze_contracts import order as contract
from fuze_contracts import payment, returns, shipping
from fuze_contracts.base import WORKFLOW_BUSY
from fuze_contracts.money import Money
from fuze_contracts.order import ORDER_REJECTED, OrderResult, OrderSnapshot
from fuze_contracts.order_states import OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.refund_allocation import price_refund
from fuze_contracts.workflow_ids import shipping_workflow_id

REJECTED_ACTOR = "mallory"
"""The order rejects every command of this actor."""

BUSY = "BUSY"
"""The first two commands of this actor, or for a return of this reason, find a step running."""

MAX_ADDRESS_CHANGES = 3
"""The order drops the signals after these."""


class BusyTwice:
    """Rejects two updates, as a workflow does in the middle of a step."""

    def __init__(self) -> None:
        self._rejections = 2

    def reject(self) -> None:
        if self._rejections:
            self._rejections -= 1
            raise ApplicationError("a step runs", type=WORKFLOW_BUSY, non_retryable=True)


@workflow.defn
class OrderWorkflow(contract.OrderWorkflow):
    """An order that waits for a command and reports the last one as its `reason`."""

    @workflow.init
    def __init__(self, command: contract.PlaceOrder) -> None:
        self._order = command
        self._command: str | None = None
        self._reason: str | None = None
        self._postal_code = command.address.postal_code if command.address else None
        self._address_changes = 0
        self._busy = BusyTwice()

    @workflow.run
    async def run(self, command: contract.PlaceOrder) -> OrderResult:
        if command.address.line1 == "REJECT":
            raise ApplicationError("not shipped there", type=ORDER_REJECTED, non_retryable=True)
        if command.address.line1 == "BROKEN":
            raise RuntimeError("a bad deploy")
        if command.address.line1 == "STUCK":
            await workflow.execute_activity(
                "payment_charged", start_to_close_timeout=timedelta(seconds=5)
            )
        if command.address.line1 == "CHILD":
            await workflow.execute_child_workflow(
                ShippingWorkflow.run,
                shipping.ShipOrder(order_id=command.order_id, address=command.address),
                id=shipping_workflow_id(command.order_id),
            )
        await workflow.wait_condition(lambda: self._command is not None)
        return OrderResult(
            order_id=command.order_id,
            status=OrderStatus.CANCELLED if self._command == "cancel" else OrderStatus.SHIPPED,
            payment_status=PaymentStatus.NONE,
            reason=self._reason,
        )

    @workflow.signal
    async def approve(self, approval: contract.ApproveOrder = contract.ApproveOrder()) -> None:
        self._command = self._command or f"approve by {approval.actor}"

    @workflow.signal
    async def cancel(self, request: contract.CancelOrder = contract.CancelOrder()) -> None:
        self._command, self._reason = "cancel", request.reason

    @workflow.signal
    async def change_address(self, request: contract.ChangeAddress) -> None:
        self._postal_code = request.address.postal_code
        self._address_changes += 1

    @workflow.update
    async def report_step_failure(self, failure: contract.StepFailure) -> None:
        pass

    @workflow.signal
    async def recheck_shipment(self) -> None:
        pass

    @workflow.update
    async def report_delivery_status(self, change: shipping.DeliveryStatusChanged) -> None:
        pass

    @workflow.update
    async def approve_order(self, approval: contract.ApproveOrder) -> OrderSnapshot:
        return self._snapshot_with(f"approve by {approval.actor}")

    @approve_order.validator
    def _validate_approve(self, approval: contract.ApproveOrder) -> None:
        if self._order.four_eyes and approval.caller == self._order.owner:
            raise ApplicationError(
                "four eyes", type=contract.APPROVER_PLACED_ORDER, non_retryable=True
            )
        self._reject_if_requested(contract.ALREADY_APPROVED, approval.actor)
        if approval.actor == BUSY:
            self._busy.reject()

    @workflow.update
    async def reject_order(self, request: contract.RejectOrder) -> OrderSnapshot:
        return self._snapshot_with(f"reject by {request.actor}: {request.reason}")

    @reject_order.validator
    def _validate_reject(self, request: contract.RejectOrder) -> None:
        self._reject_if_requested(contract.NOT_AWAITING_APPROVAL, request.actor)

    @workflow.update
    async def cancel_order(self, request: contract.CancelOrder) -> OrderSnapshot:
        return self._snapshot_with(f"cancel by {request.actor}: {request.reason}")

    @cancel_order.validator
    def _validate_cancel(self, request: contract.CancelOrder) -> None:
        self._reject_if_requested(contract.TOO_LATE_TO_CANCEL, request.actor)

    @workflow.update
    async def change_order_address(self, request: contract.ChangeAddress) -> OrderSnapshot:
        return self._snapshot_with(f"{request.address.postal_code} by {request.actor}")

    @change_order_address.validator
    def _validate_change_address(self, request: contract.ChangeAddress) -> None:
        self._reject_if_requested(contract.ADDRESS_INVALID, request.actor)

    @workflow.update
    async def change_payment_method(self, request: contract.ChangePaymentMethod) -> OrderSnapshot:
        return self._snapshot_with(f"{request.payment_method} by {request.actor}")

    @change_payment_method.validator
    def _validate_change_payment_method(self, request: contract.ChangePaymentMethod) -> None:
        self._reject_if_requested(contract.NOT_AWAITING_PAYMENT_METHOD, request.actor)

    @workflow.update
    async def retry_step(self, request: contract.RetryOrder) -> OrderSnapshot:
        return self._snapshot_with(f"retry by {request.actor}")

    @retry_step.validator
    def _validate_retry(self, request: contract.RetryOrder) -> None:
        self._reject_if_requested(contract.NOTHING_TO_RETRY, request.actor)

    def _snapshot_with(self, reason: str) -> OrderSnapshot:
        return self.status().model_copy(update={"reason": reason})

    @staticmethod
    def _reject_if_requested(error_type: str, actor: str) -> None:
        if actor == REJECTED_ACTOR:
            raise ApplicationError("not now", type=error_type, non_retryable=True)

    @workflow.query
    def signal_rejection(
        self, signal: contract.OrderSignal, caller: str | None = None
    ) -> str | None:
        del caller
        is_exhausted = self._address_changes >= MAX_ADDRESS_CHANGES
        if signal is contract.OrderSignal.CHANGE_ADDRESS and is_exhausted:
            return contract.ADDRESS_CHANGE_LIMIT
        return None

    @workflow.query
    def status(self) -> OrderSnapshot:
        return OrderSnapshot(
            order_id=self._order.order_id,
            status=OrderStatus.AWAITING_APPROVAL,
            payment_status=PaymentStatus.NONE,
            last_seq=2,
            status_since=workflow.info().start_time,
            waiting_for=WaitingFor.APPROVAL,
            deadline=workflow.info().start_time + self._order.approval_timeout,
            last_error="first line\nsecond line",
            reason=self._postal_code,
        )


@workflow.defn
class ShippingWorkflow(shipping.ShippingWorkflow):
    """A shipment whose carrier is unavailable."""

    @workflow.init
    def __init__(self, command: shipping.ShipOrder) -> None:
        self._order_id = command.order_id

    @workflow.run
    async def run(self, command: shipping.ShipOrder) -> shipping.Shipped:
        return await workflow.execute_activity(
            "shipment_dispatched",
            command,
            start_to_close_timeout=timedelta(seconds=5),
            result_type=shipping.Shipped,
        )

    @workflow.signal
    async def retry(self) -> None:
        pass

    @workflow.signal
    async def wake_up(self) -> None:
        pass

    @workflow.query
    def status(self) -> shipping.ShipmentSnapshot:
        return shipping.ShipmentSnapshot(
            order_id=self._order_id,
            step=shipping.ShippingStep.DISPATCHING,
            step_since=workflow.now(),
        )


CHARGED_MINOR = 5997
"""What is left of every payment."""


@workflow.defn
class RefundWorkflow(payment.RefundWorkflow):
    """A refund that is reserved, unless it is too large; with the reason `STUCK` it never is.

    With the reason `OPEN` it stays open.
    """

    @workflow.init
    def __init__(self, command: payment.RefundPayment) -> None:
        self._command = command
        self._is_decided = False

    @workflow.run
    async def run(self, command: payment.RefundPayment) -> payment.RefundOutcome:
        await workflow.wait_condition(lambda: self._is_decided and command.reason != "OPEN")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return payment.RefundRejected(refund_id=command.refund_id, code="a test")

    @workflow.signal
    async def wake_up(self) -> None:
        pass

    @workflow.update
    async def reserve(self) -> payment.ReserveRefundOutcome:
        await workflow.wait_condition(lambda: self._command.reason != "STUCK")
        self._is_decided = True
        command = self._command
        lines = []
        if command.shares:
            lines = price_refund(
                command.shares,
                command.lines,
                include_shipping=command.include_shipping,
                earlier=[],
            )
        charged = Money(amount_minor=CHARGED_MINOR, currency="USD")
        by_lines = Money(amount_minor=sum(line.amount_minor for line in lines), currency="USD")
        amount = command.amount or (by_lines if lines else charged)
        if amount.amount_minor > CHARGED_MINOR:
            return payment.RefundRejected(
                refund_id=command.refund_id,
                code=payment.RefundRejection.MORE_THAN_CHARGED,
                refundable=charged,
                fingerprint=command.fingerprint,
            )
        return payment.RefundReserved(
            refund_id=command.refund_id,
            amount=amount,
            lines=tuple(lines),
            reason=command.reason,
            actor=command.actor,
            fingerprint=command.fingerprint,
        )


@workflow.defn
class ReturnWorkflow(returns.ReturnWorkflow):
    """A return that is stored, unless its reason is a refusal; with `STUCK` it is never decided."""

    @workflow.init
    def __init__(self, command: returns.RequestReturn) -> None:
        self._command = command
        self._status = returns.ReturnStatus.REQUESTED
        self._busy = BusyTwice()
        self._is_decided = False

    @workflow.run
    async def run(self, command: returns.RequestReturn) -> returns.RequestReturnOutcome:
        del command
        if refusal := self._refusal:
            await workflow.wait_condition(lambda: self._is_decided)
            await workflow.wait_condition(workflow.all_handlers_finished)
            return refusal
        await workflow.wait_condition(lambda: self._status.is_terminal)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._snapshot

    @workflow.update
    async def get_request_outcome(self) -> returns.RequestReturnOutcome:
        await workflow.wait_condition(lambda: self._command.reason != "STUCK")
        self._is_decided = True
        return self._refusal or self._snapshot

    @get_request_outcome.validator
    def _validate_get_request_outcome(self) -> None:
        if self._command.reason == BUSY:
            self._busy.reject()

    @workflow.update
    async def change(self, command: returns.ChangeReturn) -> returns.ReturnSnapshot:
        if command.reason == "the parcel is back":
            raise ApplicationError("", type=returns.ORDER_NOT_RETURNABLE, non_retryable=True)
        if command.reason == "the return was refused":
            raise ApplicationError("", type=returns.RETURN_NOT_FOUND, non_retryable=True)
        if not command.action.status.may_follow(self._status):
            raise ApplicationError(
                self._status.value, type=returns.RETURN_STATUS_CONFLICT, non_retryable=True
            )
        self._status = command.action.status
        return self._snapshot

    @property
    def _snapshot(self) -> returns.ReturnSnapshot:
        command = self._command
        return returns.ReturnSnapshot(
            order_id=command.order_id,
            return_id=command.return_id,
            status=self._status,
            fingerprint=command.fingerprint,
        )

    @property
    def _refusal(self) -> returns.ReturnRefused | None:
        return_id = self._command.return_id
        match self._command.reason:
            case "not shipped":
                return returns.ReturnRefused(
                    return_id=return_id, code=returns.ReturnRefusal.ORDER_NOT_RETURNABLE
                )
            case "too many":
                return returns.ReturnRefused(
                    return_id=return_id,
                    code=returns.ReturnRefusal.MORE_THAN_SHIPPED,
                    line_id="1",
                    returnable=1,
                )
            case "shipping twice":
                return returns.ReturnRefused(
                    return_id=return_id, code=returns.ReturnRefusal.MORE_THAN_SHIPPED
                )
        return None


@activity.defn(name="payment_charged")
async def provider_outage() -> None:
    raise ApplicationError("the provider is unavailable\n[SQL: SELECT secret]")


@activity.defn(name="shipment_dispatched")
async def carrier_outage(command: shipping.ShipOrder) -> None:
    del command
    raise ApplicationError("the carrier is unavailable")
