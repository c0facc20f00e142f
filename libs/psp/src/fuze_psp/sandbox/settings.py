"""Settings of the sandbox PSP."""

from pydantic import Field, HttpUrl, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from fuze_psp.settings import ProviderSelection, require_setting


class SandboxSettings(ProviderSelection):
    """How the sandbox PSP is called."""

    psp_url: HttpUrl | None = Field(
        None,
        validate_default=True,
        description="The URL of the sandbox PSP.",
        examples=["https://sandbox.example/psp"],
    )

    @field_validator("psp_url", mode="after")
    @classmethod
    def _require_url(cls, value: HttpUrl | None, info: ValidationInfo) -> HttpUrl | None:
        require_setting(value, info.data.get("payment_provider"), "sandbox")
        return value


class SandboxWebhookSettings(BaseSettings):
    """How the sandbox PSP's webhooks are verified."""

    model_config = SettingsConfigDict(env_prefix="FUZE_", frozen=True, hide_input_in_errors=True)

    psp_webhook_secret: SecretStr | None = Field(
        None, description="Signs the sandbox PSP's webhooks; without it they are not accepted."
    )
