"""Settings, logs, health and shutdown of a process."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from datetime import timedelta
from importlib.metadata import version
from uuid import uuid4

import httpx
import pytest
import structlog
from opentelemetry import trace
from pydantic import Field, SecretStr, ValidationError, field_validator
from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from fuze_devstack.ports import Ports
from fuze_runtime import cli, health, migrations, temporal, tracing
from fuze_runtime.failure_interceptor import UnexpectedErrorInterceptor
from fuze_runtime.settings import MigrationSettings, WorkerSettings


class _Settings(WorkerSettings):
    """Settings of every kind that an environment variable can have."""

    origins: list[str] = Field([], examples=[["https://shop.example"]])
    api_key: SecretStr = SecretStr("a default")

    @field_validator("api_key")
    @classmethod
    def _validate(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() == "hunter2":
            raise ValueError("must be longer")
        return value


_URL = "postgresql://role:password@host:5432/database"


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("DATABASE_URL", None, f"Field required; example: FUZE_DATABASE_URL={_URL}"),
        (
            *("DATABASE_URL", "mysql://role:hunter2@host/database"),
            f"must begin with postgresql://; example: FUZE_DATABASE_URL={re.escape(_URL)}",
        ),
        (
            *("DATABASE_URL", "postgresql+psycopg://role:hunter2@host/database"),
            f"must begin with postgresql.*; example: FUZE_DATABASE_URL={re.escape(_URL)}",
        ),
        ("HEALTH_PORT", "hunter2", ".* valid integer.*; example: FUZE_HEALTH_PORT=8081"),
        ("DATABASE_TIMEOUT", "hunter2", ".* timedelta.*; example: FUZE_DATABASE_TIMEOUT=5"),
        ("LOG_LEVEL", "hunter2", "Input should be 'DEBUG'.*; example: FUZE_LOG_LEVEL=INFO"),
        ("METRICS_ADDRESS", "hunter2", ".*; example: FUZE_METRICS_ADDRESS=127.0.0.1:9090"),
        ("ORIGINS", "hunter2", r'must be JSON; example: FUZE_ORIGINS=\["https://shop.example"\]'),
        ("API_KEY", "hunter2", "must be longer"),
    ],
    ids=lambda value: value if value is None or value.isupper() else "",
)  # fmt: skip
def test_an_invalid_setting_is_one_line_with_its_variable_and_an_example(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str | None, line: str
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", _URL)
    if value is None:
        monkeypatch.delenv(f"FUZE_{variable}")
        line = re.escape(line)
    else:
        monkeypatch.setenv(f"FUZE_{variable}", value)

    with pytest.raises(SystemExit) as ended:
        cli.load_settings(_Settings)

    message = str(ended.value)
    assert re.fullmatch(f"FUZE_{variable}: {line}", message)
    assert "hunter2" not in message


def test_every_invalid_setting_has_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUZE_DATABASE_URL", raising=False)
    monkeypatch.setenv("FUZE_HEALTH_PORT", "many")

    with pytest.raises(SystemExit) as ended:
        cli.load_settings(WorkerSettings)

    variables = [line.partition(":")[0] for line in str(ended.value).splitlines()]
    assert variables == ["FUZE_DATABASE_URL", "FUZE_HEALTH_PORT"]


def test_an_error_of_the_settings_never_has_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "mysql://role:hunter2@host/database")

    with pytest.raises(ValidationError) as invalid:
        WorkerSettings()

    assert "hunter2" not in str(invalid.value)


@pytest.mark.usefixtures("configured_logging")
def test_every_log_line_is_one_json_object_with_the_same_fields(
    capfd: pytest.CaptureFixture[str],
) -> None:
    span = trace.NonRecordingSpan(trace.SpanContext(trace_id=1, span_id=1, is_remote=False))
    with trace.use_span(span):
        structlog.get_logger("ours").info("order received", seq=1)
        logging.getLogger("library").warning("pool is %s", "full")
    logging.getLogger().handlers[0].flush()

    ours, library = map(json.loads, capfd.readouterr().out.splitlines())
    assert (ours["event"], ours["seq"], ours["level"]) == ("order received", 1, "info")
    assert (library["event"], library["logger"]) == ("pool is full", "library")
    assert ours["service"] == library["service"] == "order"
    assert ours["version"] == library["version"] == version("fuze-order")
    assert ours["revision"] == library["revision"] == "unknown"
    assert ours["trace_id"] == library["trace_id"] == f"{1:032x}"


_FAILING_PROCESS = """
import os, threading, warnings
from fuze_runtime import telemetry
from fuze_runtime.settings import ProcessSettings

telemetry.configure(ProcessSettings(), "order", environment={})
warnings.warn("old", UserWarning)
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("two\\nlines")
"""


def test_warnings_and_exceptions_that_nothing_catches_are_json_lines() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FAILING_PROCESS], capture_output=True, text=True, check=False
    )

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (1, "")
    assert [line["level"] for line in lines] == ["warning", "error", "critical"]
    assert "UserWarning: old" in lines[0]["event"]
    assert "ZeroDivisionError" in lines[1]["exception"]
    assert lines[2]["exception"].endswith("ValueError: two\nlines")


async def test_a_process_that_exports_no_spans_propagates_none() -> None:
    client = await temporal.connect(lazy=True)

    assert client.config()["interceptors"] == []
    assert not tracing.is_enabled({"OTEL_EXPORTER_OTLP_ENDPOINT": ""})
    assert not trace.get_tracer("a-test").start_span("a span").is_recording()


async def test_a_worker_is_ready_when_every_check_passes() -> None:
    problem: str | None = "no poller"

    async def check() -> str | None:
        return problem

    port = Ports.free().order
    async with (
        health.serve("127.0.0.1", port, {"temporal": check}),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        not_ready = await client.get("/readyz")
        alive = await client.get("/livez")
        problem = None
        ready = await client.get("/readyz")

    assert (not_ready.status_code, not_ready.json()["problems"]) == (503, {"temporal": "no poller"})
    assert (alive.status_code, ready.status_code) == (200, 200)


@pytest.mark.parametrize(
    "name", ["shutdown_timeout", "database_timeout", "temporal_connect_timeout"]
)
@pytest.mark.parametrize(
    ("value", "seconds"), [("45", 45), ("1.5", 1.5), ("PT30S", 30), ("7d", 604_800)]
)
def test_a_timeout_is_a_duration(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, seconds: float
) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://role@127.0.0.1/nothing")
    monkeypatch.setenv(f"FUZE_{name.upper()}", value)

    assert getattr(WorkerSettings(), name) == timedelta(seconds=seconds)


@pytest.mark.parametrize("name", ["migration_lock_timeout", "migration_connect_timeout"])
def test_a_timeout_of_a_migration_is_a_duration(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("FUZE_MIGRATION_DATABASE_URL", "postgresql://role@127.0.0.1/nothing")
    monkeypatch.setenv(f"FUZE_{name.upper()}", "PT2M")

    assert getattr(MigrationSettings(), name) == timedelta(minutes=2)


def test_an_upgrade_fails_once_postgresql_was_unavailable_for_its_timeout() -> None:
    url = f"postgresql+asyncpg://role@127.0.0.1:{Ports.free().postgres}/nothing"
    settings = MigrationSettings(
        migration_database_url=url, migration_connect_timeout=timedelta(seconds=0.5)
    )

    with pytest.raises(OSError, match="Connect call failed"):
        migrations.upgrade(settings, "fuze_order")


async def test_a_worker_that_waits_for_temporal_exits_on_sigterm() -> None:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fuze_order"),
        env={
            **os.environ,
            "FUZE_DATABASE_URL": "postgresql+asyncpg://role@127.0.0.1/nothing",
            "TEMPORAL_ADDRESS": f"127.0.0.1:{Ports.free().temporal}",
            "FUZE_HEALTH_PORT": str(Ports.free().order),
        },
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    while (retry := json.loads(await worker.stdout.readline()))["logger"].startswith("uvicorn"):
        pass  # the health endpoints answer from the start on
    assert (retry["event"], retry["callable"].rpartition(".")[2]) == (
        "stamina.retry_scheduled",
        "connect_to_temporal",
    )

    worker.terminate()

    assert await worker.wait() == 0


@activity.defn
async def fails() -> None:
    cause = ValueError("the cause" * 1000)
    raise ConnectionError("Connect call failed ('192.0.2.1', 5432)\nSELECT secret") from cause


@workflow.defn(sandboxed=False)
class Failing:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            fails,
            start_to_close_timeout=timedelta(seconds=5),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


async def test_an_unexpected_error_of_an_activity_is_stored_as_its_type_alone(
    time_skipping: WorkflowEnvironment,
) -> None:
    async with Worker(
        time_skipping.client,
        task_queue="truncated",
        workflows=[Failing],
        activities=[fails],
        interceptors=[UnexpectedErrorInterceptor()],
    ):
        with pytest.raises(WorkflowFailureError) as failure:
            await time_skipping.client.execute_workflow(
                Failing.run, id=str(uuid4()), task_queue="truncated"
            )

    assert isinstance(failure.value.cause, ActivityError)
    stored = failure.value.cause.cause
    assert isinstance(stored, ApplicationError)
    assert (stored.type, stored.cause) == ("ConnectionError", None)
    assert stored.message == "unexpected error; the log of the worker has it"
