"""Settings of the shipping service."""

from typing import ClassVar

from pydantic import SecretStr

from fuze_runtime.deployment import Refusal, Settings, refuse_plain_http, refuse_sandbox
from fuze_runtime.settings import WorkerSettings
from fuze_shipping.carrier.settings import CarrierSettings

_EASYPOST_TEST_KEYS = "EZTK"


def _refuse_easypost_test_key(key: SecretStr | None, settings: Settings) -> str | None:
    is_test_key = key is not None and key.get_secret_value().startswith(_EASYPOST_TEST_KEYS)
    if is_test_key and settings.get("environment") == "production":
        return "must not be a test key in production"
    return None


class ShippingSettings(CarrierSettings, WorkerSettings):
    """What the shipping worker needs, with the settings of its carrier."""

    refusals: ClassVar[tuple[Refusal, ...]] = (
        Refusal("carrier", "allow_sandbox_carrier", refuse_sandbox),
        Refusal("carrier_url", "allow_plain_http", refuse_plain_http),
        Refusal("easypost_api_key", "allow_easypost_test_key", _refuse_easypost_test_key),
        Refusal("easypost_api_base", "allow_plain_http", refuse_plain_http),
    )
