import pytest

from fuze_runtime import cli
from fuze_shipping.settings import ShippingSettings


def test_the_sandbox_as_carrier_and_plain_http_are_refused_outside_local(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FUZE_ENVIRONMENT", "staging")
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://shipping@db.example/fuze")
    monkeypatch.setenv("TEMPORAL_TLS", "true")
    monkeypatch.setenv("FUZE_CARRIER_URL", "http://carrier")
    allowing = ("FUZE_ALLOW_PLAIN_HTTP", "FUZE_ALLOW_SANDBOX_CARRIER")

    with pytest.raises(SystemExit) as ended:
        cli.load_settings(ShippingSettings)

    lines = str(ended.value).splitlines()
    assert len(lines) == len(allowing)
    for line, allowed_by in zip(lines, allowing, strict=True):
        assert line.startswith("FUZE_CARRIER_URL: ")
        assert f"{allowed_by}=true allows it" in line
    for allowed_by in allowing:
        monkeypatch.setenv(allowed_by, "true")
    cli.load_settings(ShippingSettings)
