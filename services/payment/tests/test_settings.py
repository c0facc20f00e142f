from typing import Any

import pytest
from fake_stripe import API_KEY
from pydantic import ValidationError

from fuze_payment.settings import PaymentSettings
from fuze_runtime import cli


@pytest.mark.parametrize(
    ("settings", "lacks"),
    [
        ({"payment_provider": "stripe", "psp_url": "http://psp"}, "stripe_api_key"),
        ({"payment_provider": "stripe", "stripe_api_key": ""}, "stripe_api_key"),
        ({"payment_provider": "sandbox", "stripe_api_key": API_KEY}, "psp_url"),
        ({}, "psp_url"),
        ({"payment_provider": "paypal"}, "payment_provider"),
    ],
)
def test_a_setting_that_the_provider_requires_must_be_set(
    settings: dict[str, Any], lacks: str
) -> None:
    database = "postgresql://nobody@127.0.0.1/nothing"
    with pytest.raises(ValidationError) as error:
        PaymentSettings(database_url=database, **settings)

    assert [one["loc"] for one in error.value.errors()] == [(lacks,)]


def test_the_api_key_is_not_in_the_representation_of_the_settings() -> None:
    database = "postgresql://nobody@127.0.0.1/nothing"
    settings = PaymentSettings(
        database_url=database, payment_provider="stripe", stripe_api_key="sk_live_secret"
    )

    assert "sk_live_secret" not in repr(settings)


_SECURE = {
    "FUZE_ENVIRONMENT": "production",
    "FUZE_DATABASE_URL": "postgresql://payment@db.example/fuze",
    "TEMPORAL_TLS": "true",
    "FUZE_PAYMENT_PROVIDER": "stripe",
    "FUZE_STRIPE_API_KEY": "sk_live_secret",
}


@pytest.mark.parametrize(
    ("changed", "allowed_by"),
    [
        ({"FUZE_STRIPE_API_KEY": "sk_test_secret"}, "FUZE_ALLOW_STRIPE_TEST_KEY"),
        ({"FUZE_STRIPE_API_KEY": "rk_test_secret"}, "FUZE_ALLOW_STRIPE_TEST_KEY"),
        ({"FUZE_STRIPE_API_BASE": "http://stripe"}, "FUZE_ALLOW_PLAIN_HTTP"),
        ({"FUZE_PSP_URL": "http://psp"}, "FUZE_ALLOW_PLAIN_HTTP"),
        (
            {"FUZE_PAYMENT_PROVIDER": "sandbox", "FUZE_PSP_URL": "https://psp"},
            "FUZE_ALLOW_SANDBOX_PROVIDER",
        ),
    ],
)
def test_an_insecure_provider_is_refused_in_production_unless_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], allowed_by: str
) -> None:
    for name, value in (_SECURE | changed).items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit, match=f"^FUZE_[A-Z_]+: .*{allowed_by}=true allows it"):
        cli.load_settings(PaymentSettings)
    monkeypatch.setenv(allowed_by, "true")
    cli.load_settings(PaymentSettings)


def test_staging_takes_a_test_key(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {"FUZE_ENVIRONMENT": "staging", "FUZE_STRIPE_API_KEY": "sk_test_secret"}
    for name, value in (_SECURE | changed).items():
        monkeypatch.setenv(name, value)

    cli.load_settings(PaymentSettings)
