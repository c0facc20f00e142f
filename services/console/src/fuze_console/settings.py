"""Settings of the console."""

from datetime import timedelta
from typing import ClassVar, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from fuze_runtime.deployment import Refusal, refuse_plain_http, refuse_weak_secret
from fuze_runtime.settings import Duration, ProcessSettings


class ConsoleSettings(ProcessSettings):
    """Where the console listens, the gateway that it is a client of, and how people sign in."""

    refusals: ClassVar[tuple[Refusal, ...]] = (
        Refusal("gateway_url", "allow_plain_http", refuse_plain_http),
        Refusal("public_url", "allow_plain_http", refuse_plain_http),
        Refusal("oidc_issuer", "allow_plain_http", refuse_plain_http),
        Refusal("session_secret", "allow_weak_secrets", refuse_weak_secret),
    )

    gateway_url: str = Field(
        "http://127.0.0.1:8000",
        pattern=r"^https?://[^/?#]+",
        description="The gateway, as the console reaches it.",
        examples=["https://gateway.fuze.svc"],
    )
    gateway_timeout: Duration = Field(
        timedelta(seconds=30), description="Timeout of one request to the gateway."
    )
    public_url: str = Field(
        "http://127.0.0.1:8070",
        pattern=r"^https?://[^/?#]+/?$",
        description="The console, as browsers reach it. Requests that change something are accepted"
        " from this origin only; with `https://` the session's cookie is sent over TLS only.",
        examples=["https://console.example"],
    )
    session_secret: SecretStr = Field(
        SecretStr("console-development"),
        description="Encrypts the session, which has the credentials of the person who signed in;"
        " the same for all consoles of a deployment. A new one ends all sessions.",
    )
    session_lifetime: Duration = Field(
        timedelta(hours=12), description="Time after which people sign in again."
    )
    oidc_issuer: str | None = Field(
        None,
        description="The identity provider that people may sign in at. The gateway has to accept"
        " its access tokens: the same `FUZE_OIDC_ISSUER` there.",
        examples=["https://login.example"],
    )
    oidc_client_id: str | None = Field(
        None, description="The client that the console is at the identity provider."
    )
    oidc_client_secret: SecretStr | None = Field(
        None, description="Its secret; without one it is a public client. PKCE is used with both."
    )
    oidc_scope: str = Field("openid profile", description="The scope that is requested.")
    oidc_audience: str | None = Field(
        None,
        description="Sent as `audience`, for providers that need it to issue an access token for"
        " the gateway.",
    )
    temporal_ui_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="The namespace in Temporal's Web UI; without it there are no links to it.",
        examples=["https://cloud.temporal.io/namespaces/fuze.a1b2c"],
    )
    trace_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="A page that finds an order's traces; `{workflow_id}` and `{order_id}` are"
        " replaced. Spans have the attribute `temporalWorkflowID`.",
        examples=["https://jaeger.example/search?service=fuze-order&lookback=2d&tags=…"],
    )
    host: str = Field("127.0.0.1", description="The address on which the console listens.")
    port: int = Field(8070, ge=0, le=65535, description="The port on which the console listens.")
    trusted_proxies: list[str] = Field(
        [],
        examples=[["10.0.0.0/8"]],
        description="Addresses or networks of proxies whose `X-Forwarded-For` is trusted.",
    )
    shutdown_timeout: Duration = Field(
        timedelta(seconds=10), description="Time for running requests after SIGTERM."
    )

    @field_validator("gateway_url", "public_url")
    @classmethod
    def _remove_trailing_slash(cls, url: str) -> str:
        return url.rstrip("/")

    @model_validator(mode="after")
    def _validate_together(self) -> Self:
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("FUZE_OIDC_ISSUER requires FUZE_OIDC_CLIENT_ID")
        return self

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach the console over TLS."""
        return self.public_url.startswith("https://")
