"""What the tests of several packages stand on: a real PostgreSQL, a Temporal that skips time."""

import os
import sys
import sysconfig
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_testing.postgres import SHARED, migrated_postgres


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL with every role and every migration, for the whole run."""
    if shared := os.environ.get(SHARED):
        folder, _, port = shared.rpartition(":")
        yield EmbeddedPostgres(Path(folder), int(port))
        return
    with migrated_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
async def engine_of(
    postgres: EmbeddedPostgres,
) -> AsyncIterator[Callable[[str], AsyncEngine]]:
    """Connect as a role: `order`, `payment`, `shipping`, `gateway`, or a migrator."""
    engines: list[AsyncEngine] = []

    def connect(role: str) -> AsyncEngine:
        engines.append(create_async_engine(postgres.url(role), pool_size=5, max_overflow=0))
        return engines[-1]

    yield connect
    for engine in engines:
        await engine.dispose()


@pytest.fixture(scope="session")
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server whose clock jumps to the next timer."""
    binary = Path(sysconfig.get_path("scripts")) / "temporal-test-server"
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(binary), data_converter=pydantic_data_converter
    ) as environment:
        yield environment


@pytest.fixture(scope="session")
def fuze() -> list[str]:
    """The command `fuze`, whatever is on the PATH."""
    return [sys.executable, "-m", "fuze_devstack"]
