"""Settings, logs and health, as a process has them."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
import structlog
from opentelemetry import trace
from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from fuze_devstack.ports import Ports
from fuze_runtime import cli, health, telemetry
from fuze_runtime.failure_interceptor import FailureTruncationInterceptor
from fuze_runtime.settings import ProcessSettings, WorkerSettings


def test_missing_settings_are_named_by_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FUZE_DATABASE_URL", raising=False)
    monkeypatch.setenv("FUZE_HEALTH_PORT", "many")

    with pytest.raises(SystemExit) as ended:
        cli.load_settings(WorkerSettings)

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
    handler.setStream(sys.stdout)

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


def test_a_duration_is_seconds_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://nobody@127.0.0.1/nothing")
    monkeypatch.setenv("FUZE_SHUTDOWN_TIMEOUT", "45")

    assert WorkerSettings().shutdown_timeout == timedelta(seconds=45)


async def test_a_worker_that_waits_for_temporal_ends_on_sigterm() -> None:
    waiting = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fuze_order"),
        env={
            **os.environ,
            "FUZE_DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1/nothing",
            "TEMPORAL_ADDRESS": f"127.0.0.1:{Ports.free().temporal}",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    assert waiting.stdout is not None
    assert b"temporal is not there yet" in await waiting.stdout.readline()

    waiting.terminate()

    assert await waiting.wait() == 0


@activity.defn
async def fails() -> None:
    cause = ValueError("the cause" * 1000)
    raise ConnectionError("first line\nSELECT secret") from cause


@workflow.defn(sandboxed=False)
class Failing:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_activity(
            fails,
            start_to_close_timeout=timedelta(seconds=5),
            retry_policy=RetryPolicy(maximum_attempts=1),
        )


async def test_a_failed_activity_tells_one_line(time_skipping: WorkflowEnvironment) -> None:
    async with Worker(
        time_skipping.client,
        task_queue="brief",
        workflows=[Failing],
        activities=[fails],
        interceptors=[FailureTruncationInterceptor()],
    ):
        with pytest.raises(WorkflowFailureError) as failure:
            await time_skipping.client.execute_workflow(
                Failing.run, id=str(uuid4()), task_queue="brief"
            )

    assert isinstance(failure.value.cause, ActivityError)
    told = failure.value.cause.cause
    assert isinstance(told, ApplicationError)
    assert (told.type, told.message, told.cause) == ("ConnectionError", "first line", None)
