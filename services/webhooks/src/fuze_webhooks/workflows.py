"""The workflow of an endpoint: batch after batch, until the endpoint is disabled or deleted."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

from fuze_runtime.versioning import AUTO_UPGRADE
from fuze_webhooks.activities import WebhookActivities
from fuze_webhooks.messages import DeliverEvents

_BATCHES_PER_RUN = 60
_BATCH_TIMEOUT = timedelta(minutes=5)
_HEARTBEAT_TIMEOUT = timedelta(seconds=10)
"""A killed worker delays its endpoints by so much, and their open attempts by the lease."""

_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10)
)


@workflow.defn(versioning_behavior=AUTO_UPGRADE)
class WebhookEndpointWorkflow:
    """Deliver the events of one endpoint. What is delivered is in PostgreSQL, nothing is here."""

    @workflow.run
    async def run(self, command: DeliverEvents) -> None:
        """Return when the endpoint is stopped; a worker starts it again when it is enabled."""
        for _ in range(_BATCHES_PER_RUN):
            batch = await workflow.execute_activity_method(
                WebhookActivities.events_delivered,
                command,
                start_to_close_timeout=_BATCH_TIMEOUT,
                heartbeat_timeout=_HEARTBEAT_TIMEOUT,
                retry_policy=_RETRIES,
                summary="deliver events",
            )
            if batch.is_stopped:
                return
        workflow.continue_as_new(command)
