"""The payment service's process: the only place where its parts are wired."""

from datetime import timedelta

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.order import describe_workflow
from fuze_contracts.payment import PAYMENT_TASK_QUEUE
from fuze_payment.activities import Payments
from fuze_payment.charging import Charging
from fuze_payment.provider.sandbox import SandboxProvider
from fuze_payment.refund_repository import RefundRepository
from fuze_payment.refunding import Refunding
from fuze_payment.repository import PaymentRepository
from fuze_payment.settings import PaymentSettings
from fuze_runtime import process, worker
from fuze_runtime.database import create_engine


async def work() -> None:
    """Serve the payment queue until SIGTERM."""
    settings = process.load(PaymentSettings)
    engine = create_engine(settings, "fuze-payment")
    url = f"{str(settings.psp_url).rstrip('/')}/"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=settings.psp_timeout) as client:
            payments = wire(settings, engine, client)
            await worker.run(
                settings,
                worker.Workload(
                    task_queue=PAYMENT_TASK_QUEUE,
                    activities=[
                        payments.payment_charged,
                        payments.payment_refunded,
                        payments.payment_voided,
                    ],
                ),
            )
    finally:
        await engine.dispose()


def wire(settings: PaymentSettings, engine: AsyncEngine, client: httpx.AsyncClient) -> Payments:
    """Put the activities together over a pool and a client."""
    lease = timedelta(seconds=settings.payment_lease)
    repository = PaymentRepository(engine, lease)
    refunds = RefundRepository(engine, lease)
    provider = SandboxProvider(client, settings.psp_timeout)
    return Payments(
        Charging(
            repository, provider, settings.promise, review_interval=settings.psp_review_interval
        ),
        Refunding(repository, refunds, provider, settings.promise),
    )


if __name__ == "__main__":
    process.main("payment", work, describe_workflow=describe_workflow)
