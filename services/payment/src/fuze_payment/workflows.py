"""The payment service's own workflows: refunds on request, webhooks, reconciliation."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from fuze_contracts import payment as contract
from fuze_contracts.payment import PaymentActivities, RefreshPayment, RefundOutcome, RefundPayment
from fuze_payment.activities import PaymentWebhookActivities, ReconciliationActivities
from fuze_payment.messages import ComparePayments, ReconcilePayments, ReconciliationResult

_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_WEBHOOK_TIMEOUT = timedelta(minutes=5)
_RECONCILIATION_TIMEOUT = timedelta(minutes=10)
_RECONCILIATION_HEARTBEAT_TIMEOUT = timedelta(seconds=20)
"""After how long the reconciliation of a killed worker is retried; the schedule waits for it."""
_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)


@workflow.defn
class RefundWorkflow(contract.RefundWorkflow):
    """Refund part of a shipped order's payment, however long the provider is unavailable."""

    @workflow.run
    async def run(self, command: RefundPayment) -> RefundOutcome:
        """Return the outcome of the refund."""
        return await workflow.execute_activity_method(
            PaymentActivities.payment_refunded,
            command,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            retry_policy=_RETRIES,
            summary=f"refund {command.amount}",
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


@workflow.defn
class ReconcilePaymentsWorkflow:
    """Compare the provider's records with ours; a schedule starts it."""

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
        workflow.set_current_details(
            f"repaired: {result.repaired}, discrepancies: {result.discrepancies}"
        )
        return result
