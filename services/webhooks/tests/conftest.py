"""The webhooks service's tests run on a real PostgreSQL, and against a real HTTP server."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from webhooks_harness import Database

from fuze_devstack.postgres import EmbeddedPostgres


@pytest.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(postgres.dsn)
    yield Database(connection)
    await connection.execute("DELETE FROM webhooks.endpoints")  # a worker would serve them
    await connection.close()
