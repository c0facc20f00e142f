"""Settings of the shipping service."""

from datetime import timedelta
from typing import ClassVar

from pydantic import Field, HttpUrl

from fuze_runtime.deployment import Refusal, Settings, refuse_plain_http
from fuze_runtime.settings import Duration, WorkerSettings


def _refuse_sandbox_carrier(_url: object, _: Settings) -> str:
    return "is called with the sandbox's protocol, the only one that there is a client for"


class ShippingSettings(WorkerSettings):
    """Settings of the shipping worker."""

    refusals: ClassVar[tuple[Refusal, ...]] = (
        Refusal("carrier_url", "allow_plain_http", refuse_plain_http),
        Refusal("carrier_url", "allow_sandbox_carrier", _refuse_sandbox_carrier),
    )

    carrier_url: HttpUrl = Field(
        description="Base URL of the carrier's API.", examples=["https://carrier.example/api"]
    )
    carrier_timeout: Duration = Field(
        timedelta(seconds=10),
        lt=timedelta(seconds=30),
        description="Timeout of one request to the carrier; below the activity's own timeout.",
    )
    carrier_settle_window: Duration = Field(
        timedelta(minutes=5),
        description="After it, a request that the carrier does not know had no effect.",
    )
