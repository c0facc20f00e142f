"""The gateway's settings, from environment variables."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from limits import parse_many
from pydantic import AfterValidator, Field, SecretStr, model_validator

from fuze_contracts.address_rules import AddressRules
from fuze_gateway.rate_limiter import build_counter
from fuze_psp.registry import WebhookSettings
from fuze_psp.settings import ProviderSelection
from fuze_runtime.deployment import (
    Refusal,
    Settings,
    refuse_plain_http,
    refuse_sandbox,
    refuse_weak_secret,
)
from fuze_runtime.settings import TEMPORAL_REFUSAL, DatabaseSettings, Duration

_DEVELOPMENT_KEY = "for-development-only"


def _validate_rate_limit(text: str) -> str:
    """Reject an invalid rate limit at startup, not at the first request.

    Raises:
        ValueError: not of the form `100/second;1000/minute`.

    """
    try:
        parse_many(text)
    except ValueError:
        raise ValueError("must be limits such as 100/second;1000/minute") from None
    return text


def _validate_storage(url: SecretStr) -> SecretStr:
    """Reject an unusable URL at startup. The message never has the URL: it may have a password.

    Raises:
        ValueError: not `memory://`, and no URL of Redis.

    """
    try:
        build_counter(url.get_secret_value())
    except Exception:  # noqa: BLE001 - each storage driver has errors of its own
        raise ValueError("must be memory:// or redis://:password@host:6379") from None
    return url


def _refuse_no_authentication(authentication: str, _: Settings) -> str | None:
    return "must be `required`" if authentication == "none" else None


class GatewaySettings(WebhookSettings, ProviderSelection, DatabaseSettings):
    """Address, authentication, limits, timeouts, and the defaults of new orders."""

    refusals: ClassVar[tuple[Refusal, ...]] = (
        TEMPORAL_REFUSAL,
        Refusal("authentication", "allow_no_authentication", _refuse_no_authentication),
        Refusal("payment_provider", "allow_sandbox_provider", refuse_sandbox),
        *(
            Refusal(secret, "allow_weak_secrets", refuse_weak_secret)
            for secret in (
                "psp_webhook_secret",
                "stripe_webhook_secret",
                "carrier_webhook_secret",
                "easypost_webhook_secret",
                "cursor_signing_key",
                "order_id_key",
            )
        ),
        Refusal("oidc_issuer", "allow_plain_http", refuse_plain_http),
        Refusal("oidc_jwks_url", "allow_plain_http", refuse_plain_http),
    )

    authentication: Literal["none", "required"] = Field(
        "none",
        description="Whether callers need an API key or an access token.",
        examples=["required"],
    )
    cursor_signing_key: SecretStr = Field(
        SecretStr(_DEVELOPMENT_KEY),
        description="Signs cursors and stream tickets; the same for all gateways of a deployment.",
    )
    order_id_key: SecretStr = Field(
        SecretStr(_DEVELOPMENT_KEY),
        description="Makes order ids that cannot be guessed from an `Idempotency-Key`; the same for"
        " all gateways. Never change it: a repeated key would place a second order.",
    )
    ownership: Literal["none", "caller"] = Field(
        "none",
        description="`caller`: callers that neither approve nor operate orders have access to the"
        " orders that they placed, and to no others.",
    )
    four_eyes: bool = Field(
        default=False,
        description="Another caller than the one that placed an order has to approve it, and its"
        " address cannot change after that.",
    )
    search_attributes: bool = Field(
        default=False,
        description="Publish the status of each new order as search attributes of its workflow."
        " Temporal refuses orders until they exist in the namespace (docs/how-to/runbook.md).",
    )
    api_key_cache_ttl: Duration = Field(
        timedelta(seconds=10), description="How long a revocation takes, at most: keys are cached."
    )
    oidc_issuer: str | None = Field(
        None,
        description="The `iss` of accepted tokens; without it only API keys work.",
        examples=["https://login.example"],
    )
    oidc_audience: str | None = Field(None, description="The `aud` of accepted tokens.")
    oidc_jwks_url: str | None = Field(
        None,
        description="The URL of the issuer's keys; discovered without it.",
        examples=["https://login.example/keys"],
    )
    oidc_algorithms: list[Literal["RS256", "PS256", "ES256", "EdDSA"]] = Field(
        ["RS256", "ES256"], description="The accepted signature algorithms."
    )
    oidc_name_claim: str = Field("sub", description="The claim with the caller's name.")
    oidc_roles_claim: str = Field("roles", description="The claim with the caller's roles.")
    rate_limit: Annotated[str, AfterValidator(_validate_rate_limit)] = Field(
        "100/second",
        description="Requests per caller, e.g. `100/second;2000/minute`. A bulk request counts as"
        " one for each order.",
    )
    failed_authentication_limit: Annotated[str, AfterValidator(_validate_rate_limit)] = Field(
        "60/minute", description="Failed authentications per client address."
    )
    webhook_rate_limit: Annotated[str, AfterValidator(_validate_rate_limit)] = Field(
        "50/second", description="Webhooks per sender."
    )
    rate_limit_storage: Annotated[SecretStr, AfterValidator(_validate_storage)] = Field(
        SecretStr("memory://"),
        description="`redis://:password@host:6379` counts for all gateways together.",
    )
    cors_origins: list[str] = Field(
        [],
        description="Origins whose pages may call the API from a browser.",
        examples=[["https://shop.example"]],
    )
    codec_server: bool = Field(
        default=False,
        description="Decrypt payloads for Temporal's Web UI and command line, at `/codec`: for"
        " callers with the scope `orders:operate`. The Web UI's origin must be in"
        " `FUZE_CORS_ORIGINS`.",
    )
    request_timeout: Duration = Field(
        timedelta(seconds=30), description="Time until the response of a write begins."
    )
    bulk_timeout: Duration = Field(timedelta(seconds=20), description="Time for a bulk request.")
    stream_poll_interval: Duration = Field(
        timedelta(seconds=0.5), description="Interval at which streams poll PostgreSQL."
    )
    stream_lifetime: Duration = Field(
        timedelta(hours=1),
        description="Time after which a stream ends and the client must authenticate again.",
    )
    max_streams: int = Field(2000, ge=0, description="Maximum number of open event streams.")
    max_streams_per_caller: int = Field(
        100, ge=1, description="Maximum number of open event streams of one caller."
    )
    max_connections: int = Field(
        4096,
        ge=1,
        description="Maximum number of open connections; fewer where the limit of open files"
        " requires it.",
    )
    connection_timeout: Duration = Field(
        timedelta(seconds=10),
        description="Time for the head of a request to arrive, and for a client to read.",
    )
    max_header_bytes: int = Field(
        32_768, ge=1024, description="Maximum size of a request's URL and headers."
    )
    trusted_proxies: list[str] = Field(
        [],
        examples=[["10.0.0.0/8"]],
        description="Addresses or networks of proxies whose `X-Forwarded-For` is trusted.",
    )
    host: str = Field("127.0.0.1", description="The address on which the gateway listens.")
    port: int = Field(8000, ge=0, le=65535, description="The port on which the gateway listens.")
    approval_timeout: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=7), description="How long a new order waits for approval."
    )
    payment_method_timeout: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=3),
        description="How long an order waits for another payment method after a decline.",
    )
    approval_reminder_before: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=1), description="How long before the approval timeout a reminder is sent."
    )
    address_timeout: Annotated[Duration, Field(le=timedelta(days=3650))] = Field(
        timedelta(days=7),
        description="How long an order waits for an address after the carrier rejected one.",
    )
    address_rules: AddressRules | None = Field(
        None,
        description="How much of a new order's address must be there: `minimal`, the postal code"
        " where the country requires one; `deliverable`, what the country requires (the default in"
        " production).",
    )
    step_failure_alert_after: Annotated[
        Duration, Field(gt=timedelta(0), le=timedelta(days=3650))
    ] = Field(timedelta(hours=1), description="How long a step fails before it needs attention.")
    queue_alert_after: Annotated[Duration, Field(ge=timedelta(seconds=90))] = Field(
        timedelta(minutes=3),
        description="How long no worker polls a task queue before it needs attention; an idle"
        " worker polls once a minute.",
    )
    auto_approve_limits: dict[str, int] = Field(
        {},
        description="Totals up to which orders are approved automatically, in minor units.",
        examples=[{"USD": 5000}],
    )
    delivery_tracking_period: Duration | None = Field(
        None,
        description="How long a delivery is tracked; without it an order ends when it ships.",
    )
    carrier_webhook_secret: SecretStr | None = Field(
        None, description="Verifies webhooks of the sandbox carrier; without it they are rejected."
    )
    easypost_webhook_secret: SecretStr | None = Field(
        None,
        description="The `webhook_secret` of EasyPost's webhook; without it they are rejected.",
    )
    read_timeout: Duration = Field(
        timedelta(seconds=2), description="Timeout of one call to Temporal or PostgreSQL."
    )
    max_body_bytes: int = Field(262_144, ge=1, description="Maximum size of a request body.")
    refund_timeout: Duration = Field(
        timedelta(seconds=6),
        description="How long a refund or a return waits for the decision about it.",
    )
    body_timeout: Duration = Field(
        timedelta(seconds=10), description="Time for a request body to arrive."
    )
    shutdown_timeout: Duration = Field(
        timedelta(seconds=10), description="Time for running requests after SIGTERM."
    )

    @property
    def required_of_addresses(self) -> AddressRules:
        """Return `address_rules`, or its default in this environment."""
        default: AddressRules = "deliverable" if self.environment == "production" else "minimal"
        return self.address_rules or default

    @model_validator(mode="after")
    def _validate_together(self) -> Self:
        if self.ownership == "caller" and self.authentication == "none":
            raise ValueError("FUZE_OWNERSHIP=caller requires FUZE_AUTHENTICATION=required")
        if self.four_eyes and self.authentication == "none":
            raise ValueError("FUZE_FOUR_EYES requires FUZE_AUTHENTICATION=required")
        if self.authentication == "required" and self.oidc_issuer and not self.oidc_audience:
            raise ValueError("FUZE_OIDC_ISSUER requires FUZE_OIDC_AUDIENCE")
        if self.codec_server and not self.payload_keys:
            raise ValueError("FUZE_CODEC_SERVER requires FUZE_PAYLOAD_KEYS")
        if self.codec_server and "*" in self.cors_origins:
            raise ValueError(
                "FUZE_CODEC_SERVER requires exact origins, without *; example:"
                ' FUZE_CORS_ORIGINS=["https://temporal.example"]'
            )
        return self
