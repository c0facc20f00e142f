"""Settings of the payment service."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, HttpUrl, SecretStr, ValidationInfo, field_validator, model_validator

from fuze_payment.rules import ProviderPromise
from fuze_runtime.settings import Duration, WorkerSettings


class PaymentSettings(WorkerSettings):
    """What the payment worker needs."""

    payment_provider: Literal["sandbox", "stripe"] = Field("sandbox", description="Who is asked.")
    psp_url: HttpUrl | None = Field(
        None, validate_default=True, description="Where the sandbox's PSP answers."
    )
    stripe_api_key: SecretStr | None = Field(
        None, validate_default=True, description="Stripe's secret or restricted key."
    )
    stripe_api_base: HttpUrl | None = Field(
        None, description="Where Stripe answers; without it, where its own package says."
    )
    psp_timeout: float = Field(10.0, gt=0, description="Seconds for one request.")
    payment_lease: float = Field(
        20.0, lt=30, description="Seconds for which one attempt has a payment to itself."
    )
    psp_idempotency_key_ttl: Duration = Field(
        timedelta(hours=24), description="How long the provider remembers an idempotency key."
    )
    psp_settle_window: Duration = Field(
        timedelta(seconds=60), description="How long after it was sent a request may still land."
    )
    psp_review_poll_interval: Duration = Field(
        timedelta(seconds=10), description="How often a payment under review is looked at."
    )

    reconcile_interval: Duration = Field(
        timedelta(minutes=15), description="How often the provider's books are compared with ours."
    )
    reconcile_look_back: Duration = Field(timedelta(days=3), description="From how far back.")

    @field_validator("psp_url", "stripe_api_key", mode="after")
    @classmethod
    def _what_the_provider_needs(
        cls, value: HttpUrl | SecretStr | None, info: ValidationInfo
    ) -> HttpUrl | SecretStr | None:
        """Say at the start what is missing, in the name of the setting that lacks."""
        provider = {"psp_url": "sandbox", "stripe_api_key": "stripe"}[str(info.field_name)]
        missing = not (value.get_secret_value() if isinstance(value, SecretStr) else value)
        if missing and info.data.get("payment_provider") == provider:
            raise ValueError(f"needed with FUZE_PAYMENT_PROVIDER={provider}")
        return value

    @model_validator(mode="after")
    def _order_of_times(self) -> "PaymentSettings":
        """Request < lease < the activity's own 30 s: else two attempts could ask at once."""
        if not self.psp_timeout < self.payment_lease:
            raise ValueError("FUZE_PSP_TIMEOUT must be shorter than FUZE_PAYMENT_LEASE")
        return self

    @property
    def promise(self) -> ProviderPromise:
        """What we rely on of the provider."""
        return ProviderPromise(
            keys_kept=self.psp_idempotency_key_ttl, settle_window=self.psp_settle_window
        )
