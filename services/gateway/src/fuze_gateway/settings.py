"""What the gateway reads from its environment."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from limits import parse_many
from pydantic import AfterValidator, Field, SecretStr, model_validator

from fuze_runtime.settings import DatabaseSettings, Duration, ProcessSettings

_DEVELOPMENT_KEY = "for-development-only"
_SHORTEST_KEY = 32


def _rate_limit(text: str) -> str:
    """Refuse what is no limit when the process starts, rather than when somebody calls.

    Raises:
        ValueError: not of the form `100/second;1000/minute`.

    """
    parse_many(text)
    return text


class GatewaySettings(ProcessSettings, DatabaseSettings):
    """How the gateway listens, whom it lets in, and how long it waits for others."""

    authentication: Literal["none", "required"] = Field(
        "none", description="Whether callers must show an API key or a token."
    )
    cursor_signing_key: SecretStr = Field(
        SecretStr(_DEVELOPMENT_KEY),
        description="Signs cursors; the same for every gateway of a deployment.",
    )
    api_key_cache_ttl: Duration = Field(
        timedelta(seconds=10), description="After how long a revoked key is noticed."
    )
    oidc_issuer: str | None = Field(
        None, description="The identity provider, as its tokens name it; none without."
    )
    oidc_audience: str | None = Field(None, description="Whom its tokens must be meant for.")
    oidc_jwks_url: str | None = Field(
        None, description="Where its keys are; found through the issuer without it."
    )
    oidc_algorithms: list[Literal["RS256", "PS256", "ES256", "EdDSA"]] = Field(
        ["RS256", "ES256"], description="What its tokens may be signed with, and nothing else."
    )
    oidc_name_claim: str = "sub"
    oidc_roles_claim: str = "roles"
    rate_limit: Annotated[str, AfterValidator(_rate_limit)] = Field(
        "100/second", description="How often one caller may call: `100/second;2000/minute`."
    )
    rate_limit_storage: str = Field(
        "memory://", description="`redis://host:6379` counts for all gateways together."
    )
    cors_origins: list[str] = Field([], description="Browsers' pages that may call.")
    request_timeout: Duration = Field(
        timedelta(seconds=30), description="What a request may take until its answer begins."
    )
    bulk_timeout: Duration = Field(
        timedelta(seconds=20), description="What a request about many orders may take."
    )
    stream_poll_interval: Duration = Field(
        timedelta(seconds=0.5), description="How often PostgreSQL is asked for streamed events."
    )
    stream_lifetime: Duration = Field(
        timedelta(hours=1),
        description="After how long a stream ends, and its reader shows its credentials anew.",
    )
    max_streams: int = Field(2000, ge=0, description="Event streams open at a time.")
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=0, le=65535)
    approval_timeout: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=7), description="How long a new order waits for its approval."
    )
    payment_method_timeout: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=3), description="How long an order waits for another one after a decline."
    )
    approval_reminder_before: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=1), description="How long before that runs out the timeline says so."
    )
    address_timeout: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=7), description="How long an order waits for an address after a refused one."
    )
    step_failure_alert_after: Annotated[
        Duration, Field(gt=timedelta(0), le=timedelta(days=3650))
    ] = Field(
        timedelta(hours=1), description="After how long a step that keeps failing needs attention."
    )
    auto_approve_limits: dict[str, int] = Field(
        {}, description='Totals that need no approval, in minor units: {"USD": 5000}.'
    )
    delivery_tracking_period: Duration | None = Field(
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
    shutdown_timeout: Duration = Field(
        timedelta(seconds=10), description="How long running requests get after SIGTERM."
    )

    @model_validator(mode="after")
    def _fit_for_production(self) -> Self:
        if self.authentication == "required" and self.oidc_issuer and not self.oidc_audience:
            raise ValueError("FUZE_OIDC_ISSUER takes FUZE_OIDC_AUDIENCE: whom tokens are meant for")
        if self.environment != "production":
            return self
        if self.authentication == "none":
            raise ValueError("in production FUZE_AUTHENTICATION must be `required`")
        key = self.cursor_signing_key.get_secret_value()
        if key == _DEVELOPMENT_KEY or len(key) < _SHORTEST_KEY:
            raise ValueError(
                "in production FUZE_CURSOR_SIGNING_KEY must be a secret of at least"
                f" {_SHORTEST_KEY} characters, such as `openssl rand -hex 32` prints"
            )
        return self
