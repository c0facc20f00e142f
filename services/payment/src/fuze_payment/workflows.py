"""The payment service's own workflows: a refund that someone asked for, the books compared."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from fuze_contracts import payment as contract
from fuze_contracts.payment import PaymentActivities, RefreshPayment, RefundOutcome, RefundPayment
from fuze_payment.activities import PaymentWebhookActivities, ReconciliationActivities
from fuze_payment.messages import Reconcile, Reconciled

_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_EVENT_TIMEOUT = timedelta(minutes=5)
_RECONCILIATION_TIMEOUT = timedelta(minutes=10)
_NOTICED_WITHIN = timedelta(seconds=20)
"""After how long a killed worker's reconciliation is begun again; the schedule waits for it."""
_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)


@workflow.defn
class RefundWorkflow(contract.RefundWorkflow):
    """Give money of a shipped order back, however long the provider is away."""

    @workflow.run
    async def run(self, command: RefundPayment) -> RefundOutcome:
        """Return what became of the refund."""
        return await workflow.execute_activity_method(
            PaymentActivities.payment_refunded,
            command,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            retry_policy=_RETRIES,
            summary=f"give back {command.amount}",
        )


@workflow.defn
class PaymentWebhookWorkflow(contract.PaymentWebhookWorkflow):
    """Follow one event of the provider up."""

    @workflow.run
    async def run(self, command: RefreshPayment) -> str:
        """Return the state that the payment is in after the provider was asked."""
        return await workflow.execute_activity_method(
            PaymentWebhookActivities.payment_refreshed,
            command,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            # Not without end: an event that came too early is followed by polling.
            schedule_to_close_timeout=_EVENT_TIMEOUT,
            retry_policy=_RETRIES,
            summary="look at the payment again",
        )


@workflow.defn
class ReconcileWorkflow:
    """Compare the provider's books with ours; a schedule starts it."""

    @workflow.run
    async def run(self, look_back: timedelta, at_rest_for: timedelta) -> Reconciled:
        """Return what the comparison found."""
        found = await workflow.execute_activity_method(
            ReconciliationActivities.reconcile,
            Reconcile(since=workflow.now() - look_back, at_rest_for=at_rest_for),
            start_to_close_timeout=_RECONCILIATION_TIMEOUT,
            heartbeat_timeout=_NOTICED_WITHIN,
            retry_policy=_RETRIES,
            summary="compare the books",
        )
        workflow.set_current_details(f"mended {found.mended}, open {found.discrepancies}")
        return found
