"""Which provider a process uses. Each provider's own settings are in its folder."""

from typing import Literal, TypeAlias

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PaymentProviderName: TypeAlias = Literal["sandbox", "stripe"]


class ProviderSelection(BaseSettings):
    """The provider that charges and refunds."""

    model_config = SettingsConfigDict(env_prefix="FUZE_", frozen=True, hide_input_in_errors=True)

    payment_provider: PaymentProviderName = Field(
        "sandbox", description="The payment service provider to use.", examples=["stripe"]
    )


def require_setting(value: object, selected: object, provider: PaymentProviderName) -> None:
    """Fail where the selected provider's setting is missing or empty.

    Raises:
        ValueError: naming the provider that needs the setting.

    """
    if selected == provider and not (
        value.get_secret_value() if isinstance(value, SecretStr) else value
    ):
        raise ValueError(f"required with FUZE_PAYMENT_PROVIDER={provider}")
