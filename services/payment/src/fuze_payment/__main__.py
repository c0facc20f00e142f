"""The payment service's process: the only place where its parts are put together."""

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from fuze_contracts.payment import PAYMENT_TASK_QUEUE
from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_payment.activities import (
    PaymentActivitiesImpl,
    PaymentWebhookActivities,
    ReconciliationActivities,
    RefundReportActivities,
)
from fuze_payment.charge_service import Charges, ChargeService
from fuze_payment.erasure import PaymentErasure
from fuze_payment.messages import ReconcilePayments
from fuze_payment.payment_repository import PaymentRepository
from fuze_payment.reconciliation import Reconciliation
from fuze_payment.reconciliation_repository import ReconciliationRepository
from fuze_payment.refund_repository import RefundRepository
from fuze_payment.refund_service import Refunds, RefundService
from fuze_payment.retryable_operations import RetryableOperations
from fuze_payment.settings import PaymentSettings
from fuze_payment.tables import DATABASE_ACCESS
from fuze_payment.void_service import VoidService
from fuze_payment.workflows import PaymentWebhookWorkflow, ReconcilePaymentsWorkflow, RefundWorkflow
from fuze_psp.provider import PaymentProvider
from fuze_psp.registry import open_provider
from fuze_runtime import cli, worker
from fuze_runtime.database import create_engine
from fuze_runtime.schedule import ReconciliationSchedule, ScheduleSettings, keep_schedule
from fuze_runtime.service import Service

_RECONCILIATION = ReconciliationSchedule(
    id="reconcile-payments",
    input=ReconcilePayments,
    workflow=ReconcilePaymentsWorkflow,
    task_queue=PAYMENT_TASK_QUEUE,
    summary="compare the provider's records with ours",
)


def get_schedule_settings(settings: PaymentSettings) -> ScheduleSettings:
    """Return what a deployment sets of the comparison."""
    return ScheduleSettings(
        interval=settings.reconcile_interval,
        look_back=settings.reconcile_look_back,
        idle_for=settings.psp_settle_window,
    )


SERVICE = Service(
    name="payment",
    settings_type=PaymentSettings,
    access=DATABASE_ACCESS,
    task_queue=PAYMENT_TASK_QUEUE,
    schedules={_RECONCILIATION: get_schedule_settings},
)


async def run_worker() -> None:
    """Serve the payment queue until SIGTERM."""
    settings = cli.load_settings(PaymentSettings)
    engine = create_engine(settings, "fuze-payment")
    try:
        async with open_provider(settings, request_timeout=settings.psp_timeout) as provider:
            payments, webhooks, reports, reconciliation = build_activities(
                settings, engine, provider
            )

            async def keep_reconciling(temporal: Client) -> None:
                await keep_schedule(temporal, _RECONCILIATION, get_schedule_settings(settings))

            await worker.run(
                settings,
                worker.WorkerSpec(
                    task_queue=PAYMENT_TASK_QUEUE,
                    workflows=[RefundWorkflow, ReconcilePaymentsWorkflow, PaymentWebhookWorkflow],
                    activities=[
                        payments.payment_charged,
                        payments.refund_reserved,
                        payments.payment_refunded,
                        payments.payment_voided,
                        payments.kept_charges_listed,
                        webhooks.payment_refreshed,
                        reports.refund_reported,
                        reports.refunds_resumed,
                        reconciliation.payments_reconciled,
                        PaymentErasure(engine).personal_data_erased,
                    ],
                    background=keep_reconciling,
                    engine=engine,
                    read_gauges=ReconciliationRepository(engine).read_gauges,
                    access=DATABASE_ACCESS,
                ),
            )
    finally:
        await engine.dispose()


def build_activities(
    settings: PaymentSettings, engine: AsyncEngine, provider: PaymentProvider
) -> tuple[
    PaymentActivitiesImpl,
    PaymentWebhookActivities,
    RefundReportActivities,
    ReconciliationActivities,
]:
    """Put the activities together over a connection pool and a provider."""
    guarantees, poll_interval = settings.guarantees, settings.psp_review_poll_interval
    payments = PaymentRepository(engine, settings.payment_lease)
    charges = Charges(payments, provider, guarantees)
    charge_operations = RetryableOperations(charges, guarantees, poll_interval)
    refunds = Refunds(RefundRepository(engine, settings.payment_lease), provider)
    refund_operations = RetryableOperations(refunds, guarantees, poll_interval)

    charge_service = ChargeService(charges, charge_operations)
    refund_service = RefundService(payments, refunds, refund_operations)
    void_service = VoidService(charges, charge_operations, refund_service, provider, guarantees)
    reconciliation = Reconciliation(
        ReconciliationRepository(engine), payments, refund_service, provider
    )
    return (
        PaymentActivitiesImpl(charge_service, refund_service, void_service),
        PaymentWebhookActivities(charge_service, refund_service),
        RefundReportActivities(refunds.repository),
        ReconciliationActivities(reconciliation),
    )


if __name__ == "__main__":
    cli.main(SERVICE, run_worker, workflow_log_fields=workflow_log_fields)
