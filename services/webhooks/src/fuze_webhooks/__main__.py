"""The webhooks worker's process, where the service's parts are put together."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from fuze_contracts.webhooks import WEBHOOKS_TASK_QUEUE
from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_runtime import cli, worker
from fuze_runtime.database import create_engine
from fuze_runtime.service import Service
from fuze_webhooks.activities import WebhookActivities
from fuze_webhooks.address_guard import Resolver
from fuze_webhooks.batch import BatchRunner
from fuze_webhooks.delivery_repository import DeliveryPolicy, DeliveryRepository
from fuze_webhooks.erasure import WebhookErasure
from fuze_webhooks.repository import EndpointRepository
from fuze_webhooks.sender import WebhookSender
from fuze_webhooks.settings import WebhooksSettings
from fuze_webhooks.tables import DATABASE_ACCESS
from fuze_webhooks.workflow_starter import keep_workflows
from fuze_webhooks.workflows import WebhookEndpointWorkflow

_RECORDING_TIME = timedelta(seconds=5)
"""What an attempt has left of its lease to record its result."""

SERVICE = Service(
    name="webhooks",
    settings_type=WebhooksSettings,
    access=DATABASE_ACCESS,
    task_queue=WEBHOOKS_TASK_QUEUE,
)


async def run_worker() -> None:
    """Run the webhooks worker until SIGTERM."""
    settings = cli.load_settings(WebhooksSettings)
    engine = create_engine(settings, "fuze-webhooks")
    resolver = Resolver()
    sender = WebhookSender(
        resolver, settings.webhook_timeout, allow_insecure=settings.environment == "local"
    )
    try:
        await worker.run(settings, build_worker_spec(settings, engine, sender))
    finally:
        await sender.aclose()
        await engine.dispose()


def build_worker_spec(
    settings: WebhooksSettings, engine: AsyncEngine, sender: WebhookSender
) -> worker.WorkerSpec:
    """Return what the worker runs, on this connection pool and this HTTP client."""
    endpoints = EndpointRepository(engine, settings.webhook_delivery_retention)
    policy = DeliveryPolicy(
        lease=settings.webhook_timeout + _RECORDING_TIME,
        retry_delays=[timedelta(seconds=one) for one in settings.webhook_retry_delays],
        disable_after=settings.webhook_disable_after,
    )
    batches = BatchRunner(
        endpoints,
        DeliveryRepository(engine, policy),
        sender,
        poll_interval=settings.webhook_poll_interval,
        max_concurrent=settings.webhook_max_concurrent_attempts,
    )

    async def start_workflows(client: Client) -> None:
        await keep_workflows(client, endpoints)

    return worker.WorkerSpec(
        task_queue=WEBHOOKS_TASK_QUEUE,
        workflows=[WebhookEndpointWorkflow],
        engine=engine,
        activities=[
            WebhookActivities(batches).events_delivered,
            WebhookErasure(engine).personal_data_erased,
        ],
        background=start_workflows,
        read_gauges=endpoints.read_gauges,
        access=DATABASE_ACCESS,
    )


if __name__ == "__main__":
    cli.main(SERVICE, run_worker, workflow_log_fields=workflow_log_fields)
