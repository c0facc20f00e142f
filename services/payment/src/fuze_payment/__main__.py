"""The payment service's process: the only place where its parts are wired."""

import httpx

from fuze_contracts.order import describe_workflow
from fuze_contracts.payment import PAYMENT_TASK_QUEUE
from fuze_payment.activities import Payments
from fuze_payment.provider.sandbox import SandboxProvider
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
            payments = Payments(PaymentRepository(engine), SandboxProvider(client))
            await worker.run(
                settings,
                worker.Workload(
                    task_queue=PAYMENT_TASK_QUEUE, activities=[payments.payment_charged]
                ),
            )
    finally:
        await engine.dispose()


if __name__ == "__main__":
    process.main("payment", work, describe_workflow=describe_workflow)
