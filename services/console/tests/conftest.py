"""The console in front of a real gateway, with a real PostgreSQL and a real Temporal."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
import httpx
import pytest
from console_harness import PUBLIC_URL, MakeKey, ServeConsole
from temporalio.testing import WorkflowEnvironment

from fuze_console.app import create_app
from fuze_console.settings import ConsoleSettings
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.api_keys.commands import ApiKeyCommands
from fuze_gateway.app import create_app as create_gateway
from fuze_gateway.auth.principals import Role, get_scopes
from fuze_gateway.database import Database
from fuze_gateway.settings import GatewaySettings


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    """A port that refuses connections, reserved for the session."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="session")
def gateway_settings(postgres: EmbeddedPostgres) -> GatewaySettings:
    return GatewaySettings(
        database_url=postgres.url("gateway"),
        authentication="required",
        read_timeout=timedelta(seconds=1),
        api_key_cache_ttl=timedelta(milliseconds=1),
    )


@pytest.fixture(scope="session")
async def database(gateway_settings: GatewaySettings) -> AsyncIterator[Database]:
    database = Database(gateway_settings, "fuze-console-tests", gateway_settings.read_timeout)
    yield database
    await database.aclose()


@pytest.fixture(scope="session")
def make_key(database: Database) -> MakeKey:
    keys = ApiKeyCommands(database)

    async def create(role: Role) -> str:
        name = f"client-{uuid4().hex[:8]}"
        key, _ = await keys.create(
            name, get_scopes([role]), lifetime=timedelta(days=1), created_by="a test"
        )
        return key

    return create


@pytest.fixture(scope="session")
def serve(
    gateway_settings: GatewaySettings, database: Database, dev_server: WorkflowEnvironment
) -> ServeConsole:
    @asynccontextmanager
    async def served(
        gateway: dict[str, object] | None = None, **changes: object
    ) -> AsyncIterator[httpx.AsyncClient]:
        settings = gateway_settings.model_copy(update=gateway or {})
        gateway_app = create_gateway(settings, database=database, client=dev_server.client)
        to_gateway = httpx.ASGITransport(gateway_app, raise_app_exceptions=False)
        console = create_app(
            ConsoleSettings.model_validate({"public_url": PUBLIC_URL} | changes),
            transport=None if "gateway_url" in changes else to_gateway,
        )
        async with (
            gateway_app.router.lifespan_context(gateway_app),
            console.router.lifespan_context(console),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(console), base_url=PUBLIC_URL, follow_redirects=True
            ) as browser,
        ):
            yield browser

    return served


@pytest.fixture
async def owner(postgres: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """The database as its owner sees it."""
    connection = await asyncpg.connect(postgres.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def browser(serve: ServeConsole) -> AsyncIterator[httpx.AsyncClient]:
    """A browser at a console whose gateway requires authentication."""
    async with serve() as http:
        yield http
