import json
from typing import Any

import pytest

from fuze_runtime import cli
from fuze_shipping.settings import ShippingSettings

_FROM = {
    "country": "US",
    "company": "Shop",
    "line1": "388 Townsend St",
    "city": "San Francisco",
    "region": "California",
    "postal_code": "94107",
}
_SECURE = {
    "FUZE_ENVIRONMENT": "production",
    "FUZE_DATABASE_URL": "postgresql://shipping@db.example/fuze",
    "TEMPORAL_TLS": "true",
    "FUZE_CARRIER": "easypost",
    "FUZE_EASYPOST_API_KEY": "EZAK_secret",
    "FUZE_EASYPOST_FROM_ADDRESS": json.dumps(_FROM),
    "FUZE_EASYPOST_UNIT_WEIGHT": "16",
}


def load(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None]
) -> ShippingSettings | list[str]:
    """Return the settings, or the lines with which the worker refuses to start."""
    for name, value in (_SECURE | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    try:
        return cli.load_settings(ShippingSettings)
    except SystemExit as ended:
        return str(ended).splitlines()


@pytest.mark.parametrize(
    ("changed", "allowed_by"),
    [
        ({"FUZE_EASYPOST_API_KEY": "EZTK_secret"}, "FUZE_ALLOW_EASYPOST_TEST_KEY"),
        ({"FUZE_EASYPOST_API_BASE": "http://easypost/v2"}, "FUZE_ALLOW_PLAIN_HTTP"),
        ({"FUZE_CARRIER_URL": "http://carrier"}, "FUZE_ALLOW_PLAIN_HTTP"),
        (
            {"FUZE_CARRIER": "sandbox", "FUZE_CARRIER_URL": "https://carrier"},
            "FUZE_ALLOW_SANDBOX_CARRIER",
        ),
    ],
    ids=["test key", "plain http", "plain http of the sandbox", "sandbox"],
)
def test_an_insecure_carrier_is_refused_in_production_unless_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], allowed_by: str
) -> None:
    refused = load(monkeypatch, changed)
    allowed = load(monkeypatch, {**changed, allowed_by: "true"})

    assert isinstance(refused, list)
    [line] = refused
    assert f"{allowed_by}=true allows it" in line
    assert isinstance(allowed, ShippingSettings)


def test_staging_takes_a_test_key(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: dict[str, str | None] = {
        "FUZE_ENVIRONMENT": "staging",
        "FUZE_EASYPOST_API_KEY": "EZTK_secret",
    }

    settings = load(monkeypatch, changes)

    assert isinstance(settings, ShippingSettings)
    assert "EZTK_secret" not in repr(settings)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"FUZE_EASYPOST_API_KEY": None}, "FUZE_EASYPOST_API_KEY: required with FUZE_CARRIER=easy"),
        ({"FUZE_EASYPOST_API_KEY": ""}, "FUZE_EASYPOST_API_KEY: required with FUZE_CARRIER=easy"),
        (
            {"FUZE_EASYPOST_UNIT_WEIGHT": None},
            "FUZE_EASYPOST_UNIT_WEIGHT: required with FUZE_CARRIER=easypost; example: FUZE_EASY",
        ),
        (
            {"FUZE_EASYPOST_FROM_ADDRESS": None},
            "FUZE_EASYPOST_FROM_ADDRESS: required with FUZE_CARRIER=easypost; example: FUZE_EASY",
        ),
        (
            {"FUZE_EASYPOST_FROM_ADDRESS": json.dumps({**_FROM, "city": ""})},
            "FUZE_EASYPOST_FROM_ADDRESS: city is required in US",
        ),
        (
            {"FUZE_EASYPOST_FROM_ADDRESS": json.dumps({**_FROM, "country": "USA"})},
            "FUZE_EASYPOST_FROM_ADDRESS: country must be a code of ISO 3166-1, such as US",
        ),
        ({"FUZE_CARRIER": "sandbox"}, "FUZE_CARRIER_URL: required with FUZE_CARRIER=sandbox"),
    ],
)
def test_what_the_carrier_requires_is_named_with_an_example(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], line: str
) -> None:
    refused = load(monkeypatch, {"FUZE_ENVIRONMENT": "local", **changes})

    assert isinstance(refused, list)
    assert len(refused) == 1
    assert refused[0].startswith(line)


def test_the_address_is_normalised_as_those_of_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, {})

    assert isinstance(settings, ShippingSettings)
    assert settings.easypost_from_address is not None
    assert settings.easypost_from_address.region == "CA"
