"""What the gateway reads from its environment."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr

from fuze_runtime.settings import DatabaseSettings, Duration, ProcessSettings


class GatewaySettings(ProcessSettings, DatabaseSettings):
    """How the gateway listens, and how long it waits for others."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    approval_timeout: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=7), description="How long a new order waits for its approval."
    )
    payment_method_timeout: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=3), description="How long an order waits for another one after a decline."
    )
    psp_webhook_secret: SecretStr | None = Field(
        None, description="Shared with the provider; without it webhooks are not taken."
    )
    read_timeout: Duration = Field(
        timedelta(seconds=2), description="What one call to Temporal or PostgreSQL may take."
    )
    max_body_bytes: int = Field(65_536, ge=1)
    body_timeout: Duration = Field(
        timedelta(seconds=10), description="How long a caller may take to send a body."
    )
    drain_timeout: Duration = Field(
        timedelta(seconds=10), description="How long running requests get after SIGTERM."
    )
