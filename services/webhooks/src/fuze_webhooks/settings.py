"""Settings of the webhooks service."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from fuze_runtime.settings import Duration, WorkerSettings

_HOUR = 3600.0
_RETRY_DELAYS = [
    *(5.0, 300.0, 1800.0),
    *(2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR),
]
"""The schedule of Standard Webhooks: ten attempts in three days."""


class WebhooksSettings(WorkerSettings):
    """What the webhooks worker needs."""

    max_concurrent_activities: int = Field(
        200,
        ge=1,
        description="Batches that run concurrently in a worker, one per endpoint: with fewer of"
        " them than endpoints, slow endpoints delay others.",
    )
    webhook_timeout: Annotated[Duration, Field(le=timedelta(minutes=1))] = Field(
        timedelta(seconds=15),
        description="Time limit of one attempt, from the lookup of the name to the response.",
    )
    webhook_retry_delays: list[Annotated[float, Field(gt=0)]] = Field(
        _RETRY_DELAYS,
        description="The seconds before each further attempt, after a failed one; by default the"
        " schedule of Standard Webhooks. After the last one a delivery has failed.",
    )
    webhook_disable_after: Duration = Field(
        timedelta(days=3),
        description="An endpoint is disabled that has accepted nothing for so long.",
    )
    webhook_poll_interval: Annotated[Duration, Field(le=timedelta(seconds=5))] = Field(
        timedelta(seconds=1), description="How often the feed is read for each endpoint."
    )
    webhook_max_concurrent_attempts: int = Field(
        10, ge=1, le=100, description="Attempts that run concurrently for one endpoint."
    )
    webhook_delivery_retention: Duration = Field(
        timedelta(days=30), description="How long the records of completed deliveries are kept."
    )
