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


_SECURE = {
    "FUZE_ENVIRONMENT": "production",
    "FUZE_DATABASE_URL": "postgresql://gateway@db.example/fuze",
    "TEMPORAL_TLS": "true",
    "FUZE_AUTHENTICATION": "required",
    "FUZE_PAYMENT_PROVIDER": "stripe",
    "FUZE_CURSOR_SIGNING_KEY": "a" * 32,
    "FUZE_ORDER_ID_KEY": "b" * 32,
    "FUZE_PSP_WEBHOOK_SECRET": "c" * 32,
    "FUZE_CARRIER_WEBHOOK_SECRET": "d" * 32,
}


def load(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str | None]) -> list[str]:
    """Return the lines with which the gateway refuses to start, or none."""
    for name, value in (_SECURE | environment).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    try:
        cli.load_settings(GatewaySettings)
    except SystemExit as ended:
        return str(ended).splitlines()
    return []


def test_production_with_secure_settings_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, {}) == []


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize(
    ("changed", "allowed_by"),
    [
        ({"FUZE_AUTHENTICATION": None}, "FUZE_ALLOW_NO_AUTHENTICATION"),
        ({"FUZE_PAYMENT_PROVIDER": None}, "FUZE_ALLOW_SANDBOX_PROVIDER"),
        ({"FUZE_CURSOR_SIGNING_KEY": None}, "FUZE_ALLOW_WEAK_SECRETS"),
        ({"FUZE_ORDER_ID_KEY": "short"}, "FUZE_ALLOW_WEAK_SECRETS"),
        ({"FUZE_ORDER_ID_KEY": "a" * 32}, "FUZE_ALLOW_WEAK_SECRETS"),
        ({"FUZE_CARRIER_WEBHOOK_SECRET": "c" * 32}, "FUZE_ALLOW_WEAK_SECRETS"),
        ({"FUZE_EASYPOST_WEBHOOK_SECRET": "short"}, "FUZE_ALLOW_WEAK_SECRETS"),
        ({"FUZE_OIDC_ISSUER": "http://id", "FUZE_OIDC_AUDIENCE": "x"}, "FUZE_ALLOW_PLAIN_HTTP"),
        ({"FUZE_OIDC_JWKS_URL": "http://id/keys"}, "FUZE_ALLOW_PLAIN_HTTP"),
        (
            {"FUZE_DATABASE_URL": "postgresql://db/fuze?sslmode=require"},
            "FUZE_ALLOW_INSECURE_DATABASE",
        ),
        ({"TEMPORAL_TLS": None}, "FUZE_ALLOW_INSECURE_TEMPORAL"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_insecure_setting_is_refused_outside_local_unless_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    changed: dict[str, str | None],
    allowed_by: str,
) -> None:
    changed = {"FUZE_ENVIRONMENT": environment, **changed}

    [refused] = load(monkeypatch, changed)
    allowed = load(monkeypatch, {**changed, allowed_by: "true"})
    local = load(monkeypatch, {**changed, "FUZE_ENVIRONMENT": "local", allowed_by: "false"})

    assert f"{allowed_by}=true allows it" in refused
    assert (allowed, local) == ([], [])


def test_every_problem_of_a_deployment_is_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = load(monkeypatch, {name: None for name in _SECURE if name != "FUZE_ENVIRONMENT"})

    assert [line.partition(":")[0] for line in lines] == [
        "FUZE_ALLOW_INSECURE_TEMPORAL",
        "FUZE_DATABASE_URL",
        "FUZE_PAYMENT_PROVIDER",
        "FUZE_AUTHENTICATION",
        "FUZE_CURSOR_SIGNING_KEY",
        "FUZE_ORDER_ID_KEY",
    ]


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
