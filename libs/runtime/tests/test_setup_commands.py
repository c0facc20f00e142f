"""The commands `check`, `init` and `healthcheck`, and a worker that waits for what is missing."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from temporalio.testing import WorkflowEnvironment

from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.__main__ import SERVICE as GATEWAY
from fuze_gateway.settings import GatewaySettings
from fuze_order.__main__ import SERVICE
from fuze_order.settings import OrderSettings
from fuze_runtime import setup_commands
from fuze_runtime.cli import load_settings


@pytest.fixture
def settings(
    monkeypatch: pytest.MonkeyPatch, postgres: EmbeddedPostgres, dev_server: WorkflowEnvironment
) -> OrderSettings:
    """The order service's settings, with a namespace that does not exist."""
    address = dev_server.client.service_client.config.target_host
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", f"shop-{uuid4().hex[:8]}")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("FUZE_DATABASE_URL", postgres.url("order"))
    return load_settings(OrderSettings)


def read_findings(output: str) -> dict[str, str]:
    """Return the state of each subject."""
    lines = [line.split() for line in output.splitlines()]
    return {" ".join(words[1:3]) if words[1] == "task" else words[1]: words[0] for words in lines}


async def test_init_makes_what_check_reports_as_missing(
    settings: OrderSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await setup_commands.check(SERVICE, settings)
    missing = capsys.readouterr().out
    made = await setup_commands.init(SERVICE, settings, timedelta(days=30))
    created = capsys.readouterr().out
    after = await setup_commands.check(SERVICE, settings)
    complete = capsys.readouterr().out
    made_again = await setup_commands.init(SERVICE, settings, timedelta(days=5))
    existing = capsys.readouterr().out

    assert (before, made, after, made_again) == (1, 0, 0, 0)
    assert "Temporal has no namespace shop-" in missing
    assert "created; histories of closed workflows are kept for 30 days" in created
    assert "reconcile-orders created" in created
    assert read_findings(complete) == {
        "settings": "ok",
        "database": "ok",
        "revision": "ok",
        "grants": "ok",
        "temporal": "ok",
        "namespace": "ok",
        "retention": "ok",
        "schedule": "ok",
        "task queue": "note",
    }
    assert "exists; histories of closed workflows are kept for 30 days" in existing
    assert "reconcile-orders exists" in existing


async def test_check_says_what_a_role_may_do_beyond_its_needs(
    settings: OrderSettings, postgres: EmbeddedPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = settings.model_copy(update={"database_url": SecretStr(postgres.url("order_migrator"))})

    await setup_commands.check(SERVICE, owner)

    lines = capsys.readouterr().out.splitlines()
    [delete] = [line for line in lines if "DELETE on orders.orders," in line]
    assert delete.startswith("note     grants")


async def test_init_adds_the_search_attributes_that_the_settings_ask_for(
    settings: OrderSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    published = GatewaySettings(database_url=settings.database_url, search_attributes=True)

    made = await setup_commands.init(GATEWAY, published, timedelta(days=1))
    created = capsys.readouterr().out
    made_again = await setup_commands.init(GATEWAY, published, timedelta(days=1))
    existing = capsys.readouterr().out
    await setup_commands.check(GATEWAY, published)
    checked = capsys.readouterr().out

    assert (made, made_again) == (0, 0)
    assert created.count("created") == 1 + 3
    assert existing.count("exists") == 1 + 3
    assert "ok       attributes   search attribute FuzeWaitingFor" in checked


@pytest.fixture
def worker(settings: OrderSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an order worker that runs before its namespace exists, without a password."""
    port = Ports.free().order
    monkeypatch.setenv("FUZE_HEALTH_PORT", str(port))
    wrong = settings.database_url.get_secret_value().replace("@", "-wrong@")
    process = subprocess.Popen(
        [sys.executable, "-m", "fuze_order"], env={**os.environ, "FUZE_DATABASE_URL": wrong}
    )
    yield f"http://127.0.0.1:{port}/readyz"
    process.terminate()
    assert process.wait(60) == 0


async def test_a_worker_is_not_ready_and_says_why_until_it_can_work(
    settings: OrderSettings, worker: str
) -> None:
    async def wait_for(text: str) -> dict[str, str]:
        async with asyncio.timeout(60), httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    response = await client.get(worker)
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
                    continue
                assert response.status_code == 503
                if text in response.text:
                    return dict(response.json()["problems"])
                await asyncio.sleep(0.05)

    problems = await wait_for("has no namespace")
    asking = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fuze_runtime.healthcheck"),
        env={**os.environ, "FUZE_SERVICE": "order"},
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await asking.communicate()
    await setup_commands.init(SERVICE, settings, timedelta(days=1))
    async with asyncio.timeout(60):
        while "temporal" in problems:
            problems = await wait_for("password authentication failed")

    assert asking.returncode == 1
    assert b"has no namespace" in answer
    assert list(problems) == ["postgresql"]


_COMMAND = """
import atexit, os, runpy
atexit.register(os._exit, 7)  # what Python calls when it finalizes
runpy.run_module("fuze_order", run_name="__main__", alter_sys=True)
"""


def test_a_command_ends_without_finalizing_python_and_logs_to_stderr() -> None:
    """temporalio/sdk-python 300: its threads crash a process that finalizes."""
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "check"],
        env={
            **os.environ,
            "FUZE_ENVIRONMENT": "staging",
            "FUZE_ALLOW_INSECURE_DATABASE": "true",
            "FUZE_ALLOW_INSECURE_TEMPORAL": "true",
            "FUZE_DATABASE_URL": "postgresql://fuze_order:x@127.0.0.1:1/fuze?sslmode=disable",
            "TEMPORAL_ADDRESS": "127.0.0.1:1",
            "TEMPORAL_CONFIG_FILE": os.devnull,
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert read_findings(done.stdout) == {
        "settings": "ok",
        "database": "missing",
        "temporal": "missing",
    }
    assert "insecure setting allowed" in done.stderr
