"""The gateway's settings."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.settings import GatewaySettings
from fuze_runtime import cli


@pytest.mark.parametrize(
    ("text", "expected"), [("30", timedelta(seconds=30)), ("P7D", timedelta(days=7))]
)
def test_a_duration_is_read_as_seconds_or_iso_8601(
    monkeypatch: pytest.MonkeyPatch, postgres: EmbeddedPostgres, text: str, expected: timedelta
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", postgres.url("gateway"))
    monkeypatch.setenv("FUZE_APPROVAL_TIMEOUT", text)

    assert GatewaySettings().approval_timeout == expected


def test_a_zero_duration_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://gateway@127.0.0.1/nothing")
    monkeypatch.setenv("FUZE_APPROVAL_TIMEOUT", "0")

    with pytest.raises(ValidationError):
        GatewaySettings()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "FUZE_AUTHENTICATION"),
        ({"FUZE_AUTHENTICATION": "required"}, "FUZE_CURSOR_SIGNING_KEY"),
        (
            {"FUZE_AUTHENTICATION": "required", "FUZE_CURSOR_SIGNING_KEY": "short"},
            "FUZE_CURSOR_SIGNING_KEY",
        ),
        (
            {"FUZE_AUTHENTICATION": "required", "FUZE_CURSOR_SIGNING_KEY": "a" * 32},
            "FUZE_ORDER_ID_KEY",
        ),
        (
            {
                "FUZE_AUTHENTICATION": "required",
                "FUZE_CURSOR_SIGNING_KEY": "a" * 32,
                "FUZE_ORDER_ID_KEY": "b" * 32,
                "FUZE_CARRIER_WEBHOOK_SECRET": "guessable",
            },
            "FUZE_CARRIER_WEBHOOK_SECRET",
        ),
    ],
)
def test_production_requires_authentication_and_its_own_keys(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://gateway@127.0.0.1/nothing")
    monkeypatch.setenv("FUZE_ENVIRONMENT", "production")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=message):
        GatewaySettings()


@pytest.mark.parametrize(
    "url", ["redsi://:hunter2@host", "redis://:hun#ter2@host", "redis://:hunter2@host:port"]
)
def test_a_misspelt_storage_url_is_rejected_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://gateway@127.0.0.1/nothing")
    monkeypatch.setenv("FUZE_RATE_LIMIT_STORAGE", url)

    with pytest.raises(SystemExit) as ended:
        cli.load_settings(GatewaySettings)

    assert "FUZE_RATE_LIMIT_STORAGE: must be memory:// or redis://" in str(ended.value)
    assert "hun" not in str(ended.value)


def test_an_invalid_rate_limit_is_rejected_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://gateway@127.0.0.1/nothing")
    monkeypatch.setenv("FUZE_RATE_LIMIT", "lots")

    with pytest.raises(SystemExit, match=r"FUZE_RATE_LIMIT: .*; example: FUZE_RATE_LIMIT=100/sec"):
        cli.load_settings(GatewaySettings)
