"""The lifecycle of an order, from top to bottom."""

import asyncio
from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from fuze_contracts import order as contract
from fuze_contracts import payment
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus, WaitingFor
from fuze_contracts.shipping import DeliveryStatusChanged
from fuze_order import service_calls
from fuze_order.fulfillment import Fulfillment
from fuze_order.message_handlers import MessageHandlers, PendingRequest
from fuze_order.messages import to_details
from fuze_order.state import OrderState
from fuze_order.step_runner import ConflictingCommitError, StepRunner
from fuze_order.transitions import ExternalEffect, external_effects
from fuze_runtime.step_gate import StepGate


@workflow.defn
class OrderWorkflow(contract.OrderWorkflow):
    """One order: receive, validate, await approval, collect payment, ship, track the delivery.

    An order without anything to ship is completed once it is paid. Other ends are rejected,
    expired, payment_declined and cancelled. Until its shipment is dispatched an order can be
    cancelled, by update, by signal or by Temporal's own cancellation.
    Each step ends with a commit, and the next one follows from the committed status. Nothing else
    decides what comes next, or what has to be compensated.
    """

    @workflow.init
    def __init__(self, command: PlaceOrder) -> None:
        self._order = command
        self._state = OrderState(command)
        self._gate = StepGate()
        self._messages = MessageHandlers(self._state, self._gate)
        self._steps = StepRunner(command, self._state, self._messages, self._gate)
        self._fulfillment = Fulfillment(command, self._state, self._messages, self._steps)
        if command.recovery and command.recovery.cancellation:
            self._messages.cancel(command.recovery.cancellation)

    @workflow.run
    async def run(self, command: PlaceOrder) -> contract.OrderResult:
        """Return when the order has ended; a rejected one fails with `ORDER_REJECTED`."""
        del command  # stored by __init__
        try:
            await self._steps.receive()
            await self._steps.record_recovery()
        except ApplicationError:
            await self._end_messages()
            raise
        while not self._is_finished():
            self._messages.reject_outdated()
            if self._state.status is OrderStatus.PREPARING:
                self._fulfillment.request_shipment()
            with suppress(ConflictingCommitError):
                await self._advance()
        return await self._finish()

    async def _advance(self) -> None:  # noqa: C901 - one case for each status
        """Take the next step from the committed status; requests to change the order come first."""
        match self._state.status:
            # Check completion first: a replay may order concurrent requests differently.
            case OrderStatus.PREPARING if self._fulfillment.is_shipment_done():
                await self._fulfillment.record_outcome()
            case _ if self._messages.cancellation:
                await self._cancel(self._messages.cancellation)
            case _ if self._messages.addresses:
                await self._change_address(self._messages.addresses[0])
            case OrderStatus.AWAITING_APPROVAL:
                await self._await_approval()
            case OrderStatus.APPROVED:
                await self._collect_payment()
            case OrderStatus.AWAITING_PAYMENT_METHOD:
                await self._await_payment_method()
            case OrderStatus.PAID if self._order.requires_shipping:
                await self._fulfillment.start()
            case OrderStatus.PAID:
                await self._steps.record(EventType.ORDER_COMPLETED)
            case OrderStatus.PREPARING:
                await self._fulfillment.ship()
            case OrderStatus.AWAITING_ADDRESS:
                await self._fulfillment.await_address()
            case OrderStatus.SHIPPED:
                await self._fulfillment.track_delivery()
            case OrderStatus.CANCELLING | OrderStatus.RETURNED:
                await self._compensate()

    def _is_finished(self) -> bool:
        match self._state.status:
            case OrderStatus.SHIPPED if self._state.tracking_deadline:
                return self._fulfillment.is_tracking_over
            case OrderStatus.RETURNED:
                return self._state.payment_status is not PaymentStatus.REFUNDING
            case status:
                return status.is_terminal

    async def _finish(self) -> contract.OrderResult:
        workflow.set_current_details(f"ended: {self._state.status}")
        is_cancelled = self._messages.is_workflow_cancelled
        await self._end_messages()
        if is_cancelled and self._state.status is OrderStatus.CANCELLED:
            raise asyncio.CancelledError
        return self._state.result()

    async def _end_messages(self) -> None:
        workflow.metric_meter().create_counter(
            "fuze_orders_ended_total", "Orders that have ended"
        ).add(1, {"status": self._state.status.value})
        self._messages.reject_outdated(has_ended=True)
        await self._steps.wait(workflow.all_handlers_finished)

    async def _await_approval(self) -> None:
        """Wait for a decision, send one reminder, and expire at the deadline."""
        messages, state = self._messages, self._state
        messages.auto_approve(self._order)
        deadline = state.received_at + self._order.approval_timeout
        remind_at = deadline - self._order.approval_reminder_before
        is_reminder_due = not state.is_reminder_sent and remind_at > state.received_at
        in_time = await self._steps.wait_until(
            lambda: messages.approval or messages.rejection or messages.has_change(),
            WaitingFor.APPROVAL,
            deadline,
            remind_at=remind_at if is_reminder_due else None,
        )
        if messages.has_change():
            return
        if messages.rejection:
            await self._steps.record_request(
                messages.rejection,
                EventType.ORDER_REJECTED,
                reason=messages.rejection.request.reason or "not approved",
            )
        elif messages.approval:
            await self._steps.record_request(messages.approval, EventType.ORDER_APPROVED)
        elif not in_time and is_reminder_due:
            await self._steps.record(EventType.APPROVAL_REMINDER_SENT)
        elif not in_time:
            await self._steps.record(EventType.ORDER_EXPIRED, reason="not approved in time")

    async def _collect_payment(self) -> None:
        """Charge the order, unless it is cancelled before the outcome is known."""
        charge = service_calls.build_charge(self._order, self._state)
        self._state.set_waiting_for(WaitingFor.PAYMENT, f"charging {charge.amount}")
        outcome = await self._steps.retry_until_done(
            lambda time_limit: service_calls.charge_payment(charge, time_limit),
            name="charge",
            cancel_if=lambda: self._messages.cancellation,
            has_pending=lambda: self._messages.addresses,
            handle_pending=lambda: self._change_address(self._messages.addresses[0]),
        )
        self._state.clear_waiting_for()
        match outcome:
            case payment.Charged():
                await self._steps.record(
                    EventType.PAYMENT_CHARGED,
                    actor="payment-service",
                    details=outcome.model_dump(mode="json") | {"amount": str(charge.amount)},
                    followed_by=self._fulfillment.following_event(),
                )
            case payment.Declined():
                await self._steps.record(
                    EventType.PAYMENT_DECLINED,
                    actor="payment-service",
                    reason=f"the payment was declined: {outcome.code}",
                    details={"code": outcome.code, "payment_token": charge.payment_token},
                )
            case None:
                return  # the cancellation is the next step

    async def _await_payment_method(self) -> None:
        """After a decline, wait for another payment method; abandon the order at the deadline."""
        messages = self._messages
        in_time = await self._steps.wait_until(
            lambda: messages.payment_method or messages.has_change(),
            WaitingFor.PAYMENT_METHOD,
            self._state.status_since + self._order.payment_method_timeout,
        )
        if messages.has_change():
            return
        if pending := messages.payment_method:
            await self._steps.record_request(
                pending,
                EventType.PAYMENT_METHOD_CHANGED,
                payment_method=pending.request.payment_method,
                payment_token=self._state.next_payment_token(),
            )
        elif not in_time:
            await self._steps.record(
                EventType.PAYMENT_ABANDONED,
                reason="the payment was declined, and no other method was offered in time",
            )

    async def _change_address(self, pending: PendingRequest[contract.ChangeAddress]) -> None:
        """Change the address; where a shipment may exist, the shipping service decides the race."""
        address = pending.request.address
        if (
            ExternalEffect.SHIPMENT in external_effects(self._state.status)
            and await self._steps.validate_address(address)
            and not await self._fulfillment.change_address(address)
        ):
            self._messages.addresses.remove(pending)
            pending.reject(contract.TOO_LATE_TO_CHANGE_ADDRESS, "the shipment is being dispatched")
            return
        committed = await self._steps.record_request(
            pending,
            EventType.ADDRESS_CHANGED,
            address=address,
            details=to_details(address=pending.request.entered_address or address),
        )
        self._messages.addresses.remove(pending)
        if committed.type is EventType.ADDRESS_CHANGED:
            self._messages.reject_approval_of_old_address()
        else:
            rules = committed.violated_rules or "the address is not valid"
            pending.reject(contract.ADDRESS_INVALID, rules)

    async def _cancel(self, pending: PendingRequest[contract.CancelOrder]) -> None:
        """Stop the order; where a shipment may exist, the shipping service decides the race."""
        effects = external_effects(self._state.status)
        if ExternalEffect.SHIPMENT in effects and not await self._fulfillment.cancel():
            self._messages.reject_cancellation()
            return
        is_charged = ExternalEffect.CHARGE in effects
        event = EventType.CANCELLATION_STARTED if is_charged else EventType.ORDER_CANCELLED
        await self._steps.record_request(
            pending, event, reason=pending.request.reason or "cancelled"
        )

    async def _compensate(self) -> None:
        """Void the payment, retried until it succeeds; then complete the cancellation."""
        if self._state.payment_status is PaymentStatus.REFUNDING:
            await self._void_payment()
        else:
            await self._fulfillment.wait_for_end()
            await self._steps.record(EventType.ORDER_CANCELLED, reason=self._state.reason)

    async def _void_payment(self) -> None:
        """Void the charge; money that was captured is refunded."""
        self._fulfillment.stop()
        charge = service_calls.build_charge(self._order, self._state)
        is_returned = self._state.status is OrderStatus.RETURNED
        reason = "the parcel was returned" if is_returned else "the order is cancelled"
        self._state.set_waiting_for(WaitingFor.REFUND, f"voiding {charge.amount}")
        outcome = await self._steps.retry_until_done(
            lambda time_limit: service_calls.void_payment(charge, time_limit, reason=reason),
            name="refund",
        )
        self._state.clear_waiting_for()
        match outcome:
            case payment.Refunded():
                await self._steps.record(
                    EventType.PAYMENT_REFUNDED,
                    actor="payment-service",
                    details={
                        **outcome.model_dump(mode="json"),
                        "amount": str(outcome.amount),
                        **outcome.amount.model_dump(),
                        "reason": reason,
                    },
                )
            case _:
                await self._steps.record(EventType.PAYMENT_VOIDED, actor="payment-service")

    @workflow.signal
    async def approve(self, approval: contract.ApproveOrder = contract.ApproveOrder()) -> None:
        await self._gate.pass_through()
        self._messages.approve(approval)

    @workflow.signal
    async def cancel(self, request: contract.CancelOrder = contract.CancelOrder()) -> None:
        await self._gate.pass_through()
        self._messages.cancel(request)

    @workflow.signal
    async def change_address(self, request: contract.ChangeAddress) -> None:
        await self._gate.pass_through()
        self._messages.change_address(request)

    @workflow.update
    async def report_step_failure(self, failure: contract.StepFailure) -> None:  # type: ignore[override] # an update's type names its class
        self._messages.report_step_failure(failure)

    @report_step_failure.validator
    def _validate_report_step_failure(self, failure: contract.StepFailure) -> None:
        self._messages.validate_order_report(failure)

    @workflow.signal
    async def recheck_shipment(self) -> None:
        await self._gate.pass_through()
        self._fulfillment.recheck_shipment()

    @workflow.update
    async def report_delivery_status(self, report: DeliveryStatusChanged) -> None:  # type: ignore[override] # an update's type names its class
        self._messages.report_delivery_status(report)

    @report_delivery_status.validator
    def _validate_report_delivery_status(self, report: DeliveryStatusChanged) -> None:
        self._messages.validate_order_report(report)

    @workflow.update
    async def approve_order(self, approval: contract.ApproveOrder) -> contract.OrderSnapshot:  # type: ignore[override] # an update's type names its class
        return await self._messages.approve_order(approval)

    @approve_order.validator
    def _validate_approve_order(self, approval: contract.ApproveOrder) -> None:
        self._messages.validate_approve_order(approval)

    @workflow.update
    async def reject_order(self, request: contract.RejectOrder) -> contract.OrderSnapshot:  # type: ignore[override] # an update's type names its class
        return await self._messages.reject_order(request)

    @reject_order.validator
    def _validate_reject_order(self, request: contract.RejectOrder) -> None:
        self._messages.validate_reject_order(request)

    @workflow.update
    async def cancel_order(self, request: contract.CancelOrder) -> contract.OrderSnapshot:  # type: ignore[override] # an update's type names its class
        return await self._messages.cancel_order(request)

    @cancel_order.validator
    def _validate_cancel_order(self, request: contract.CancelOrder) -> None:
        self._messages.validate_cancel_order(request)

    @workflow.update
    async def change_order_address(self, request: contract.ChangeAddress) -> contract.OrderSnapshot:  # type: ignore[override] # an update's type names its class
        return await self._messages.change_order_address(request)

    @change_order_address.validator
    def _validate_change_order_address(self, request: contract.ChangeAddress) -> None:
        self._messages.validate_change_order_address(request)

    @workflow.update
    async def change_payment_method(  # type: ignore[override] # an update's type names its class
        self, request: contract.ChangePaymentMethod
    ) -> contract.OrderSnapshot:
        return await self._messages.change_payment_method(request)

    @change_payment_method.validator
    def _validate_change_payment_method(self, request: contract.ChangePaymentMethod) -> None:
        self._messages.validate_change_payment_method(request)

    @workflow.update
    async def retry_step(self, request: contract.RetryOrder) -> contract.OrderSnapshot:  # type: ignore[override] # an update's type names its class
        return await self._messages.retry_step(request)

    @retry_step.validator
    def _validate_retry_step(self, request: contract.RetryOrder) -> None:
        self._messages.validate_retry_step(request)

    @workflow.query
    def signal_rejection(
        self, signal: contract.OrderSignal, caller: str | None = None
    ) -> str | None:
        return self._messages.signal_rejection(signal, caller)

    @workflow.query
    def status(self) -> contract.OrderSnapshot:
        return self._state.snapshot()
