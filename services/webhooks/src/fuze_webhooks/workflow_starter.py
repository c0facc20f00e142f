"""Starts the workflow of each endpoint that needs one.

PostgreSQL says which endpoints there are, and when the workflow of each last began a batch. So a
workflow that was never started, was terminated, or was lost with Temporal's data, is started here.
"""

import asyncio
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy

from fuze_contracts.webhooks import WEBHOOKS_TASK_QUEUE
from fuze_contracts.workflow_ids import webhook_endpoint_workflow_id
from fuze_webhooks.messages import DeliverEvents
from fuze_webhooks.repository import EndpointRepository
from fuze_webhooks.workflows import WebhookEndpointWorkflow

_CHECK_INTERVAL = timedelta(seconds=2)

_log = structlog.get_logger(__name__)


async def keep_workflows(
    client: Client, repository: EndpointRepository, check_interval: timedelta = _CHECK_INTERVAL
) -> None:
    """Start the missing workflows again and again; run this as long as the worker runs."""
    while True:
        try:
            for endpoint_id in await repository.list_unattended():
                await client.start_workflow(
                    WebhookEndpointWorkflow.run,
                    DeliverEvents(endpoint_id=endpoint_id),
                    id=webhook_endpoint_workflow_id(endpoint_id),
                    task_queue=WEBHOOKS_TASK_QUEUE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    static_summary="deliver the events of a webhook endpoint",
                )
        except Exception:  # noqa: BLE001 - tried again; the worker serves its queue without it
            _log.warning("webhook endpoints not checked", exc_info=True)
        await asyncio.sleep(check_interval.total_seconds())
