"""Settings, logs and health, as a process has them."""

import json
import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog
from opentelemetry import trace

from fuze_devstack.ports import Ports
from fuze_runtime import health, process, telemetry
from fuze_runtime.settings import ProcessSettings, WorkerSettings


def test_missing_settings_are_named_by_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUZE_DATABASE_URL", raising=False)
    monkeypatch.setenv("FUZE_HEALTH_PORT", "many")

    with pytest.raises(SystemExit) as ended:
        process.load(WorkerSettings)

    assert "FUZE_DATABASE_URL: Field required" in str(ended.value)
    assert "FUZE_HEALTH_PORT" in str(ended.value)
    assert "many" not in str(ended.value)


@pytest.fixture
def configured() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    telemetry.configure(ProcessSettings(), "order", environment={})
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


@pytest.mark.usefixtures("configured")
def test_a_line_is_one_json_object_wherever_it_comes_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(__import__("sys").stdout)

    with trace.get_tracer("a-test").start_as_current_span("a span"):
        structlog.get_logger("ours").info("we say", seq=1)
        logging.getLogger("theirs").warning("they say %s", "so")

    ours, theirs = map(json.loads, capsys.readouterr().out.splitlines())
    assert (ours["event"], ours["seq"], ours["level"]) == ("we say", 1, "info")
    assert (theirs["event"], theirs["logger"]) == ("they say so", "theirs")
    assert ours["service"] == theirs["service"] == "order"
    assert len(ours["trace_id"]) == 32
    assert ours["trace_id"] == theirs["trace_id"]


async def test_a_worker_is_ready_when_every_check_passes() -> None:
    wrong: str | None = "not seen yet"

    async def check() -> str | None:
        return wrong

    port = Ports.free().order
    async with (
        health.serve("127.0.0.1", port, {"temporal": check}),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        refused = await client.get("/readyz")
        alive = await client.get("/livez")
        wrong = None
        ready = await client.get("/readyz")

    assert (refused.status_code, refused.json()["problems"]) == (503, {"temporal": "not seen yet"})
    assert (alive.status_code, ready.status_code) == (200, 200)
