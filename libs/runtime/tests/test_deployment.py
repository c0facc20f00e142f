"""Settings that are refused outside `local`, secrets from files, and misspelt variables."""

import json
import logging
from pathlib import Path

import pytest
from pydantic import SecretStr

from fuze_runtime import cli
from fuze_runtime.known_variables import warn_of_unknown_variables
from fuze_runtime.settings import (
    DatabaseSettings,
    MigrationSettings,
    ProcessSettings,
    WorkerSettings,
)

_URL = "postgresql://role:hunter2@host/database"


def refuse(settings_type: type[ProcessSettings]) -> list[str]:
    """Return the lines with which a process refuses to start."""
    with pytest.raises(SystemExit) as ended:
        cli.load_settings(settings_type)
    return str(ended.value).splitlines()


@pytest.mark.parametrize("environment", ["Production", "prod", ""])
def test_an_environment_is_one_of_three(monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    monkeypatch.setenv("FUZE_ENVIRONMENT", environment)

    [line] = refuse(ProcessSettings)

    assert line.startswith("FUZE_ENVIRONMENT: Input should be 'local', 'staging' or 'production'")


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_a_database_that_is_not_verified_is_refused_outside_local(
    monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    root = "&sslrootcert=/etc/ssl/certs/ca-certificates.crt" if mode == "verify-ca" else ""
    monkeypatch.setenv("FUZE_ENVIRONMENT", "staging")
    monkeypatch.setenv("FUZE_DATABASE_URL", f"{_URL}?sslmode={mode}{root}")
    monkeypatch.setenv("FUZE_MIGRATION_DATABASE_URL", f"{_URL}?sslmode={mode}{root}")

    for settings_type in (DatabaseSettings, MigrationSettings):
        [line] = refuse(settings_type)
        assert "FUZE_ALLOW_INSECURE_DATABASE=true allows it" in line
        monkeypatch.setenv("FUZE_ALLOW_INSECURE_DATABASE", "true")
        cli.load_settings(settings_type)
        monkeypatch.delenv("FUZE_ALLOW_INSECURE_DATABASE")


@pytest.mark.usefixtures("configured_logging")
def test_an_insecure_setting_that_is_allowed_is_logged(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FUZE_ENVIRONMENT", "production")
    monkeypatch.setenv("FUZE_DATABASE_URL", _URL)
    monkeypatch.setenv("FUZE_ALLOW_INSECURE_TEMPORAL", "true")

    cli.load_settings(WorkerSettings)
    logging.getLogger().handlers[0].flush()

    [line] = map(json.loads, capfd.readouterr().out.splitlines())
    assert (line["level"], line["event"]) == ("warning", "insecure setting allowed")
    assert line["allowed_by"] == "FUZE_ALLOW_INSECURE_TEMPORAL=true"


def test_a_broken_configuration_of_temporal_is_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "temporal.toml").write_text("[profile")
    monkeypatch.setenv("FUZE_ENVIRONMENT", "production")
    monkeypatch.setenv("FUZE_DATABASE_URL", _URL)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal.toml"))

    assert "Temporal's configuration file" in refuse(WorkerSettings)[0]


def test_a_secret_is_read_from_the_file_that_its_variable_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "url").write_text(f"{_URL}\n")
    monkeypatch.setenv("FUZE_DATABASE_URL_FILE", str(tmp_path / "url"))

    assert DatabaseSettings().database_url == SecretStr(_URL)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff", "cannot be read: not UTF-8"),
        (b"hunter2", "must begin with postgresql://"),
    ],
)
def test_a_file_that_has_no_secret_is_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / "url").write_bytes(content)
    monkeypatch.setenv("FUZE_DATABASE_URL_FILE", str(tmp_path / "url"))

    [line] = refuse(DatabaseSettings)

    assert problem in line
    assert "hunter2" not in line


def test_a_secret_and_its_file_are_not_both_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", _URL)
    monkeypatch.setenv("FUZE_DATABASE_URL_FILE", "/run/secrets/database")

    [line] = refuse(DatabaseSettings)

    assert line.startswith("FUZE_DATABASE_URL: is also in FUZE_DATABASE_URL_FILE")


@pytest.mark.usefixtures("configured_logging")
def test_a_misspelt_variable_is_a_warning_with_the_nearest_one(
    capfd: pytest.CaptureFixture[str],
) -> None:
    warn_of_unknown_variables(
        {
            "FUZE_LOG_LEVLE": "hunter2",
            "FUZE_STRIPE_API_KEY_FIEL": "/run/secrets/stripe",
            "FUZE_QQQQQQQQ": "",
            "FUZE_CARRIER_URL": "https://of.another.service",
            "FUZE_STRIPE_API_KEY_FILE": "/run/secrets/stripe",
            "FUZE_SANDBOX_PORT": "8090",
            "FUZE_GATEWAY_SERVICE_HOST": "10.0.0.1",
            "FUZE_GATEWAY_PORT_8000_TCP": "tcp://10.0.0.1:8000",
            "PATH": "/bin",
        }
    )

    logging.getLogger().handlers[0].flush()
    output = capfd.readouterr().out
    found = {line["variable"]: line["nearest"] for line in map(json.loads, output.splitlines())}
    assert found == {
        "FUZE_LOG_LEVLE": "FUZE_LOG_LEVEL",
        "FUZE_STRIPE_API_KEY_FIEL": "FUZE_STRIPE_API_KEY_FILE",
        "FUZE_QQQQQQQQ": None,
    }
    assert "hunter2" not in output
