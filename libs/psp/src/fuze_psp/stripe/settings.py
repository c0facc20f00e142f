"""Settings of Stripe."""

from pydantic import Field, HttpUrl, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fuze_psp.settings import ProviderSelection, require_setting


class StripeSettings(ProviderSelection):
    """How Stripe's API is called."""

    stripe_api_key: SecretStr | None = Field(
        None, validate_default=True, description="Stripe's secret or restricted key."
    )
    stripe_api_base: HttpUrl | None = Field(
        None, description="The URL of Stripe's API; the stripe package's own without it."
    )

    @field_validator("stripe_api_key", mode="after")
    @classmethod
    def _require_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        require_setting(value, info.data.get("payment_provider"), "stripe")
        return value


class StripeWebhookSettings(BaseSettings):
    """How Stripe's webhooks are verified."""

    model_config = SettingsConfigDict(env_prefix="FUZE_", frozen=True, hide_input_in_errors=True)

    stripe_webhook_secret: SecretStr | None = Field(
        None,
        description="The signing secret of Stripe's webhook endpoint; none are accepted without.",
    )
