"""The payment service's own workflows: refunds on request, webhooks, reconciliation."""

import typing
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from fuze_contracts import order_refunds
from fuze_contracts import payment as contract
from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_contracts.order_refunds import RefundEventType, RefundReport
from fuze_contracts.order_states import EventType
from fuze_contracts.payment import (
    PaymentActivities,
    RefreshPayment,
    Refunded,
    RefundOutcome,
    RefundPayment,
    RefundRejected,
    RefundReserved,
    ReserveRefundOutcome,
)
from fuze_payment.activities import (
    PaymentWebhookActivities,
    ReconciliationActivities,
    RefundReportActivities,
)
from fuze_payment.messages import (
    ComparePayments,
    ReconcilePayments,
    ReconciliationResult,
    ResumeRefunds,
)
from fuze_runtime.step_execution import is_schedule_to_close_timeout, last_attempt_error
from fuze_runtime.versioning import AUTO_UPGRADE

_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_WEBHOOK_TIMEOUT = timedelta(minutes=5)
_RECONCILIATION_TIMEOUT = timedelta(minutes=10)
_RECONCILIATION_HEARTBEAT_TIMEOUT = timedelta(seconds=20)
"""After how long the reconciliation of a killed worker is retried; the schedule waits for it."""
_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)
_RESERVATION_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=30)
)
"""A caller waits for it."""


@workflow.defn
class RefundWorkflow(contract.RefundWorkflow):
    """Refund part of a shipped order's payment, however long the provider is unavailable.

    The caller waits for the reservation alone. Each step is committed under the refund's id, so a
    reset, or another run, repeats nothing. A run that ends early is resumed by reconciliation.
    """

    @workflow.init
    def __init__(self, command: RefundPayment) -> None:
        self._command = command
        self._decision: ReserveRefundOutcome | None = None

    @workflow.run
    async def run(self, command: RefundPayment) -> RefundOutcome:
        """Return the outcome of the refund, once the order has it as an event."""
        self._decision = await workflow.execute_activity_method(
            PaymentActivities.refund_reserved,
            command,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            retry_policy=_RESERVATION_RETRIES,
            summary="reserve the refund",
        )
        outcome = (
            await self._refund(self._decision)
            if isinstance(self._decision, RefundReserved)
            else self._decision
        )
        await workflow.wait_condition(workflow.all_handlers_finished)
        return outcome

    @workflow.signal
    async def wake_up(self) -> None:
        """Run a workflow task, and change nothing."""

    @workflow.update
    async def reserve(self) -> ReserveRefundOutcome:  # type: ignore[override] # an update's type names its class
        """Return the decision, as soon as it is committed."""
        await workflow.wait_condition(lambda: self._decision is not None)
        return typing.cast("ReserveRefundOutcome", self._decision)

    async def _refund(self, reserved: RefundReserved) -> RefundOutcome:
        await self._report(EventType.REFUND_REQUESTED, reserved)
        outcome = await self._execute(reserved)
        match outcome:
            case Refunded():
                await self._report(
                    EventType.PAYMENT_REFUNDED,
                    reserved,
                    provider_reference=outcome.provider_reference,
                )
            case RefundRejected():
                await self._report(EventType.REFUND_FAILED, reserved, code=outcome.code)
        await workflow.execute_activity_method(
            RefundReportActivities.refund_reported,
            reserved.refund_id,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            retry_policy=_RETRIES,
            summary="mark the refund as reported",
        )
        return outcome

    async def _execute(self, reserved: RefundReserved) -> RefundOutcome:
        """Execute the refund; one that keeps failing needs attention, and is retried further."""
        time_limit: timedelta | None = self._command.step_failure_alert_after
        while True:
            try:
                return await workflow.execute_activity_method(
                    PaymentActivities.payment_refunded,
                    self._command,
                    start_to_close_timeout=_ATTEMPT_TIMEOUT,
                    schedule_to_close_timeout=time_limit,
                    retry_policy=_RETRIES,
                    summary=f"refund {reserved.amount}",
                )
            except ActivityError as error:
                if not is_schedule_to_close_timeout(error):
                    raise
                last_error = last_attempt_error(error)
            await self._report(EventType.NEEDS_ATTENTION, reserved, last_error=last_error)
            time_limit = None

    async def _report(
        self,
        event: RefundEventType,
        reserved: RefundReserved,
        *,
        provider_reference: str | None = None,
        code: str | None = None,
        last_error: str | None = None,
    ) -> None:
        """Record an event in the order: an order that has ended has no workflow to do it."""
        await workflow.execute_activity_method(
            order_refunds.RefundReportActivities.refund_recorded,
            RefundReport(
                order_id=self._command.order_id,
                refund_id=reserved.refund_id,
                type=event,
                amount=reserved.amount,
                actor=reserved.actor,
                occurred_at=workflow.now(),
                lines=reserved.lines,
                reason=reserved.reason,
                provider_reference=provider_reference,
                code=code,
                last_error=last_error,
            ),
            task_queue=ORDER_TASK_QUEUE,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            retry_policy=_RETRIES,
            summary=event.replace("_", " "),
        )


@workflow.defn
class PaymentWebhookWorkflow(contract.PaymentWebhookWorkflow):
    """Process one webhook event of the provider."""

    @workflow.run
    async def run(self, command: RefreshPayment) -> str:
        """Return the state of the payment after it was looked up at the provider."""
        return await workflow.execute_activity_method(
            PaymentWebhookActivities.payment_refreshed,
            command,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            # Not retried for ever: a payment under review is polled in any case.
            schedule_to_close_timeout=_WEBHOOK_TIMEOUT,
            retry_policy=_RETRIES,
            summary="look the payment up",
        )


@workflow.defn(versioning_behavior=AUTO_UPGRADE)
class ReconcilePaymentsWorkflow:
    """Compare the provider's records with ours, and resume refunds; a schedule starts it."""

    @workflow.run
    async def run(self, command: ReconcilePayments) -> ReconciliationResult:
        """Return the result of the comparison."""
        result = await workflow.execute_activity_method(
            ReconciliationActivities.payments_reconciled,
            ComparePayments(since=workflow.now() - command.look_back, idle_for=command.idle_for),
            start_to_close_timeout=_RECONCILIATION_TIMEOUT,
            heartbeat_timeout=_RECONCILIATION_HEARTBEAT_TIMEOUT,
            retry_policy=_RETRIES,
            summary="reconcile payments",
        )
        resumed = await workflow.execute_activity_method(
            RefundReportActivities.refunds_resumed,
            ResumeRefunds(idle_for=command.idle_for),
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            retry_policy=_RETRIES,
            summary="resume refunds",
        )
        workflow.set_current_details(
            f"repaired: {result.repaired}, discrepancies: {result.discrepancies}, "
            f"refunds resumed: {resumed}"
        )
        return result.model_copy(update={"resumed": resumed})
