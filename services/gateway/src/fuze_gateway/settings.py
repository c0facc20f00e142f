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
    approval_reminder: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=1), description="How long before that runs out the timeline says so."
    )
    address_timeout: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=7), description="How long an order waits for an address after a refused one."
    )
    attention_after: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(days=3650))] = Field(
        timedelta(hours=1), description="After how long a step that keeps failing needs attention."
    )
    auto_approve: dict[str, int] = Field(
        {}, description='Totals that need no approval, in minor units: {"USD": 5000}.'
    )
    follow_parcel_for: Duration | None = Field(
        None,
        description="How long an order follows its parcel after the hand-over; "
        "without it an order ends when it is shipped.",
    )
    carrier_webhook_secret: SecretStr | None = Field(
        None, description="Shared with the carrier; without it its webhooks are not taken."
    )
    psp_webhook_secret: SecretStr | None = Field(
        None, description="Shared with the sandbox; without it its webhooks are not taken."
    )
    stripe_webhook_secret: SecretStr | None = Field(
        None, description="Of Stripe's webhook endpoint; without it its webhooks are not taken."
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
