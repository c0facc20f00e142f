"""Settings of the shipping service."""

from datetime import timedelta

from pydantic import Field, HttpUrl

from fuze_runtime.settings import Duration, WorkerSettings


class ShippingSettings(WorkerSettings):
    """Settings of the shipping worker."""

    carrier_url: HttpUrl = Field(description="Base URL of the carrier's API.")
    carrier_timeout: Duration = Field(
        timedelta(seconds=10),
        lt=timedelta(seconds=30),
        description="Timeout of one request to the carrier; below the activity's own timeout.",
    )
    carrier_settle_window: Duration = Field(
        timedelta(minutes=5),
        description="After it, a request that the carrier does not know had no effect.",
    )
