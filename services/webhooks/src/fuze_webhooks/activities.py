"""The webhooks service's activity. It may be repeated, and may overlap with its repetition."""

from datetime import timedelta
from typing import TYPE_CHECKING

from temporalio import activity

from fuze_webhooks.messages import BatchEnded, DeliverEvents

if TYPE_CHECKING:  # workflows import this module and must not load a database driver
    from fuze_webhooks.batch import BatchRunner

_BATCH_DURATION = timedelta(minutes=1)


class WebhookActivities:
    """What WebhookEndpointWorkflow runs."""

    def __init__(self, batches: "BatchRunner") -> None:
        self._batches = batches

    @activity.defn
    async def events_delivered(self, command: DeliverEvents) -> BatchEnded:
        """Deliver what is due, and what becomes due within the time of a batch."""

        def is_stopping() -> bool:
            activity.heartbeat()
            return activity.is_worker_shutdown()

        is_stopped = await self._batches.run(command.endpoint_id, _BATCH_DURATION, is_stopping)
        return BatchEnded(is_stopped=is_stopped)
