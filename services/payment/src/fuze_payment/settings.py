"""Settings of the payment service."""

from pydantic import Field, HttpUrl

from fuze_runtime.settings import WorkerSettings


class PaymentSettings(WorkerSettings):
    """What the payment worker needs."""

    psp_url: HttpUrl = Field(description="Where the payment service provider answers.")
    psp_timeout: float = Field(
        10.0, gt=0, lt=30, description="Seconds for one request; below the activity's own limit."
    )
