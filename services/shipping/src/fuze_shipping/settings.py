"""Settings of the shipping service."""

from pydantic import Field, HttpUrl

from fuze_runtime.settings import WorkerSettings


class ShippingSettings(WorkerSettings):
    """What the shipping worker needs."""

    carrier_url: HttpUrl = Field(description="Where the carrier answers.")
    carrier_timeout: float = Field(
        10.0, gt=0, lt=30, description="Seconds for one request; below the activity's own limit."
    )
