from typing import Any

import pytest
from fake_stripe import API_KEY
from pydantic import ValidationError

from fuze_payment.settings import PaymentSettings


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
