"""Settings of the console that are refused."""

import pytest
from pydantic import ValidationError

from fuze_console.settings import ConsoleSettings

SECURE = {
    "environment": "production",
    "gateway_url": "https://gateway.example",
    "public_url": "https://console.example",
    "session_secret": "a" * 32,
}


def test_secure_settings_are_accepted_in_production() -> None:
    assert ConsoleSettings.model_validate(SECURE).is_secure


@pytest.mark.parametrize(
    ("change", "allowed_by"),
    [
        ({"gateway_url": "http://gateway.example"}, "FUZE_ALLOW_PLAIN_HTTP"),
        ({"public_url": "http://console.example"}, "FUZE_ALLOW_PLAIN_HTTP"),
        ({"session_secret": "short"}, "FUZE_ALLOW_WEAK_SECRETS"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_insecure_settings_are_refused_in_production(
    change: dict[str, str], allowed_by: str
) -> None:
    with pytest.raises(ValidationError, match=allowed_by):
        ConsoleSettings.model_validate(SECURE | change)


def test_an_identity_provider_needs_a_client() -> None:
    with pytest.raises(ValidationError, match="FUZE_OIDC_CLIENT_ID"):
        ConsoleSettings.model_validate({"oidc_issuer": "https://login.example"})
