"""The payment service's process: the only place where its parts are wired."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from fuze_contracts.payment import PAYMENT_TASK_QUEUE
from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_payment import schedule
from fuze_payment.activities import (
    Payments,
    PaymentWebhookActivities,
    ReconciliationActivities,
)
from fuze_payment.charging import Charging
from fuze_payment.provider import PaymentProvider
from fuze_payment.provider.sandbox import SandboxProvider
from fuze_payment.provider.stripe import StripeProvider
from fuze_payment.provider.stripe_client import connect
from fuze_payment.reconciliation import Reconciliation
from fuze_payment.reconciliation_repository import ReconciliationRepository
from fuze_payment.refund_repository import RefundRepository
from fuze_payment.refunding import Refunding
from fuze_payment.repository import PaymentRepository
from fuze_payment.settings import PaymentSettings
from fuze_payment.workflows import PaymentWebhookWorkflow, ReconcileWorkflow, RefundWorkflow
from fuze_runtime import cli, worker
from fuze_runtime.database import create_engine


async def run_worker() -> None:
    """Serve the payment queue until SIGTERM."""
    settings = cli.load_settings(PaymentSettings)
    engine = create_engine(settings, "fuze-payment")
    try:
        async with provider_of(settings) as provider:
            payments, reconciliation, events = wire(settings, engine, provider)

            async def make_schedule(temporal: Client) -> None:
                await schedule.make(
                    temporal,
                    every=settings.reconcile_interval,
                    look_back=settings.reconcile_look_back,
                    at_rest_for=settings.psp_settle_window,
                )

            await worker.run(
                settings,
                worker.WorkerSpec(
                    task_queue=PAYMENT_TASK_QUEUE,
                    workflows=[RefundWorkflow, ReconcileWorkflow, PaymentWebhookWorkflow],
                    activities=[
                        payments.payment_charged,
                        payments.payment_refunded,
                        payments.payment_voided,
                        reconciliation.reconcile,
                        events.payment_refreshed,
                    ],
                    passthrough_modules=[
                        "fuze_payment.activities",
                        "fuze_payment.messages",
                        "fuze_payment.rules",
                    ],
                    on_start=make_schedule,
                ),
            )
    finally:
        await engine.dispose()


@asynccontextmanager
async def provider_of(settings: PaymentSettings) -> AsyncIterator[PaymentProvider]:
    """Hold the provider that the settings name."""
    timeout = settings.psp_timeout
    if settings.payment_provider == "stripe" and settings.stripe_api_key:
        key, base = settings.stripe_api_key.get_secret_value(), settings.stripe_api_base
        async with connect(key, str(base) if base else None, timeout) as stripe:
            yield StripeProvider(stripe, timeout, settings.psp_settle_window)
    else:
        url = f"{str(settings.psp_url).rstrip('/')}/"
        async with httpx.AsyncClient(base_url=url, timeout=timeout) as client:
            yield SandboxProvider(client, timeout)


def wire(
    settings: PaymentSettings, engine: AsyncEngine, provider: PaymentProvider
) -> tuple[Payments, ReconciliationActivities, PaymentWebhookActivities]:
    """Put the activities together over a pool and a provider."""
    lease = timedelta(seconds=settings.payment_lease)
    repository = PaymentRepository(engine, lease)
    charging = Charging(
        repository, provider, settings.promise, review_interval=settings.psp_review_poll_interval
    )
    refunding = Refunding(repository, RefundRepository(engine, lease), provider, settings.promise)
    reconciliation = Reconciliation(
        ReconciliationRepository(engine), repository, refunding, provider
    )
    return (
        Payments(charging, refunding),
        ReconciliationActivities(reconciliation),
        PaymentWebhookActivities(charging, refunding),
    )


if __name__ == "__main__":
    cli.main("payment", run_worker, workflow_log_fields=workflow_log_fields)
