"""A pytest plugin: the servers that the tests of several packages use.

The root `conftest.py` loads it. Each pytest process, which is each worker of pytest-xdist, has
servers of its own, so that a test may lock a table, stop a clock or count connections.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.testing import WorkflowEnvironment

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_testing.postgres import SHARED, migrated_postgres
from fuze_testing.temporal import start_dev_server, start_time_skipping_server

_REPORT_FAILING_TASKS_AT_ONCE = (
    "--dynamic-config-value",
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=1",
)

_RUN_FUZE_UNMEASURED_BELOW = """
import os, runpy
for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
    del os.environ[name]
runpy.run_module("fuze_devstack", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """Return a PostgreSQL server with every role and every migration.

    `FUZE_TEST_POSTGRES=folder:port` names a running one to use instead.
    """
    if shared := os.environ.get(SHARED):
        folder, _, port = shared.rpartition(":")
        yield EmbeddedPostgres(Path(folder), int(port))
        return
    with migrated_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
async def engine_of(postgres: EmbeddedPostgres) -> AsyncIterator[Callable[[str], AsyncEngine]]:
    """Return a function that connects as a role: `order`, `gateway`, …, or `order_migrator`."""
    engines: list[AsyncEngine] = []

    def connect(role: str) -> AsyncEngine:
        engines.append(create_async_engine(postgres.url(role), pool_size=5, max_overflow=0))
        return engines[-1]

    yield connect
    for engine in engines:
        await engine.dispose()


@pytest.fixture(scope="session")
async def dev_server() -> AsyncIterator[WorkflowEnvironment]:
    """Return a Temporal development server, whose clock is the real one."""
    async with await start_dev_server(options=_REPORT_FAILING_TASKS_AT_ONCE) as environment:
        yield environment


@pytest.fixture(scope="session")
async def _time_skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    async with await start_time_skipping_server() as environment:
        yield environment


@pytest.fixture
async def time_skipping(
    _time_skipping_server: WorkflowEnvironment,
) -> AsyncIterator[WorkflowEnvironment]:
    """Return a Temporal test server, whose clock jumps to the next timer.

    All tests of a process share it. Its clock does not jump while an activity runs, and never again
    once the activity's workflow is terminated: the test that does so fails, too.
    """
    yield _time_skipping_server
    try:
        async with asyncio.timeout(20):
            await _time_skipping_server.sleep(timedelta(minutes=10))
    except TimeoutError:
        pytest.fail("the clock no longer skips: use `dev_server` to terminate a running workflow")


@pytest.fixture(scope="session")
def fuze() -> list[str]:
    """Return the command `fuze` of this environment, whatever is on the PATH."""
    return [sys.executable, "-m", "fuze_devstack"]


@pytest.fixture(scope="session")
def fuze_of_unmeasured_services() -> list[str]:
    """Return the command `fuze`, the coverage of whose services is not measured: it slows them."""
    return [sys.executable, "-c", _RUN_FUZE_UNMEASURED_BELOW]
