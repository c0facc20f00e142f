"""Log lines without a reader, or that repeat."""

import asyncio
import fcntl
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from uuid import uuid4

import httpx
import pytest
from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from fuze_contracts.order import ApproveOrder
from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_runtime import log_output
from fuze_runtime.log_output import QueuedOutput, SdkRateLimit

_PIPE_SIZE = 4096


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that is full: the next write to it waits until there is a reader."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    os.write(writing, b"\n" * _PIPE_SIZE)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def read_until(reading: int, text: str) -> str:
    read = ""
    while text not in read:
        read += os.read(reading, _PIPE_SIZE).decode()
    return read


def test_lines_without_a_reader_are_dropped_and_counted(full_pipe: tuple[int, int]) -> None:
    reading, writing = full_pipe
    handler = QueuedOutput(writing, capacity=10)
    handler.setFormatter(logging.Formatter("%(message)s %(dropped)s", defaults={"dropped": ""}))
    logger = logging.Logger("a logger")  # noqa: LOG001 - without the handlers of pytest
    logger.addHandler(handler)

    for number in range(100):
        logger.info("line %d", number)
    read = read_until(reading, "log lines dropped")
    logger.info("the end")
    read += read_until(reading, "the end")

    written = read.count("line ")
    assert written < 20
    assert f"log lines dropped {100 - written}" in read


async def test_a_worker_whose_stdout_has_no_reader_stays_alive(
    dev_server: WorkflowEnvironment, postgres: EmbeddedPostgres, full_pipe: tuple[int, int]
) -> None:
    port = Ports.free().order
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fuze_order"),
        env={
            **os.environ,
            "FUZE_DATABASE_URL": postgres.url("order"),
            "FUZE_HEALTH_PORT": str(port),
            "TEMPORAL_ADDRESS": dev_server.client.service_client.config.target_host,
        },
        stdout=full_pipe[1],
    )

    http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
    try:
        async with http:
            await until_ready(http)
            assert (await http.get("/livez")).status_code == 200
        worker.terminate()

        async with asyncio.timeout(20):
            assert await worker.wait() == 0
    finally:
        with suppress(ProcessLookupError):
            worker.kill()
        await worker.wait()


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                if (await client.get("/readyz")).is_success:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)


async def test_the_error_that_ends_a_worker_is_its_last_line() -> None:
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fuze_order"),
        env={
            **os.environ,
            "FUZE_DATABASE_URL": "postgresql+asyncpg://role@127.0.0.1/nothing",
            "FUZE_TEMPORAL_CONNECT_TIMEOUT": "0.1",
            "TEMPORAL_ADDRESS": f"127.0.0.1:{Ports.free().temporal}",
        },
        stdout=asyncio.subprocess.PIPE,
    )

    output, _ = await worker.communicate()

    last = json.loads(output.splitlines()[-1])
    assert worker.returncode == 1
    assert last["event"] == "worker not started"
    assert "TEMPORAL_ADDRESS" in last["reason"]


@workflow.defn(sandboxed=False)
class Waiting:
    def __init__(self) -> None:
        self._is_approved = False

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: self._is_approved)

    @workflow.signal
    def approve(self, approval: ApproveOrder) -> None:
        self._is_approved = bool(approval)


@pytest.mark.usefixtures("configured_logging")
async def test_a_flood_of_malformed_signals_logs_a_few_lines(
    dev_server: WorkflowEnvironment,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_output, "_WINDOW_SECONDS", 3600)
    # Five hundred tracebacks in one workflow task may look like a deadlock.
    async with Worker(
        dev_server.client, task_queue="malformed", workflows=[Waiting], debug_mode=True
    ):
        handle = await dev_server.client.start_workflow(
            Waiting.run, id=str(uuid4()), task_queue="malformed"
        )
        for _ in range(5):
            await asyncio.gather(*(handle.signal("approve", 42) for _ in range(100)))
        await handle.signal(Waiting.approve, ApproveOrder())
        await handle.result()
    logging.getLogger().handlers[0].flush()

    lines = [line for line in capfd.readouterr().out.splitlines() if "deserializing signal" in line]
    assert len(lines) == 10
    assert json.loads(lines[0])["level"] == "error"


def log_from(name: str, line: int = 1) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "a file", line, "a message", None, None)


def test_the_next_line_of_a_place_has_the_number_of_those_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(log_output.time, "monotonic", lambda: now)
    limit = SdkRateLimit()

    written = [limit.filter(log_from("temporalio.worker")) for _ in range(25)]
    now = 60.0
    later = log_from("temporalio.worker")

    assert written == [True] * 10 + [False] * 15
    assert limit.filter(later)
    assert later.__dict__["suppressed"] == 15


@pytest.mark.parametrize("name", ["temporalio.workflow", "temporalio.activity", "fuze_order"])
def test_lines_of_the_service_are_not_limited(name: str) -> None:
    limit = SdkRateLimit()

    assert all(limit.filter(log_from(name)) for _ in range(100))


def test_each_place_has_a_limit_of_its_own() -> None:
    limit = SdkRateLimit()

    assert all(limit.filter(log_from("temporalio.worker", line)) for line in range(100))
