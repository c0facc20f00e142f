"""The gateway on a real PostgreSQL and a real Temporal, with fake workflows behind it."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from fake_workflows import (
    OrderWorkflow,
    RefundWorkflow,
    ReturnWorkflow,
    ShippingWorkflow,
    carrier_outage,
    provider_outage,
)
from gateway_harness import MakeKey, Serve
from temporalio.client import Client
from temporalio.contrib.opentelemetry import TracingInterceptor
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_contracts.payment import PAYMENT_TASK_QUEUE
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.api_keys.commands import ApiKeyCommands
from fuze_gateway.app import create_app
from fuze_gateway.auth.principals import Role, get_scopes
from fuze_gateway.database import Database
from fuze_gateway.settings import GatewaySettings
from fuze_testing.temporal import start_dev_server


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    """A port that refuses connections, reserved for the session."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="session")
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never responds."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[Client]:
    """A Temporal server with a worker of the order queue."""
    async with await start_dev_server([TracingInterceptor()]) as environment:
        worker = Worker(
            environment.client,
            task_queue=ORDER_TASK_QUEUE,
            workflows=[OrderWorkflow, ReturnWorkflow, ShippingWorkflow],
            activities=[provider_outage, carrier_outage],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        payments = Worker(
            environment.client,
            task_queue=PAYMENT_TASK_QUEUE,
            workflows=[RefundWorkflow],
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        async with worker, payments:
            yield environment.client


@pytest.fixture(scope="session")
async def no_temporal(closed_port: int) -> Client:
    """A client whose server is unavailable."""
    return await Client.connect(
        f"127.0.0.1:{closed_port}", lazy=True, data_converter=pydantic_data_converter
    )


@pytest.fixture(scope="session")
def settings(postgres: EmbeddedPostgres) -> GatewaySettings:
    return GatewaySettings(
        database_url=postgres.url("gateway"),
        read_timeout=timedelta(seconds=2),
        refund_timeout=timedelta(seconds=2),
        max_body_bytes=4096,
    )


@pytest.fixture(scope="session")
async def database(settings: GatewaySettings) -> AsyncIterator[Database]:
    """The gateway's pool, as its own role."""
    database = Database(settings, "fuze-gateway-tests", settings.read_timeout)
    yield database
    await database.aclose()


@pytest.fixture(scope="session")
async def no_database(closed_port: int) -> AsyncIterator[Database]:
    """A pool whose server is unavailable."""
    url = f"postgresql+asyncpg://gateway@127.0.0.1:{closed_port}/nothing"
    settings = GatewaySettings(database_url=url)
    database = Database(settings, "fuze-gateway-tests", settings.read_timeout)
    yield database
    await database.aclose()


@pytest.fixture(scope="session")
def serve(settings: GatewaySettings, database: Database, temporal: Client) -> Serve:
    """Serve the gateway with any database, client and settings."""

    @contextlib.asynccontextmanager
    async def served(
        *, pool: Database = database, client: Client = temporal, **changes: object
    ) -> AsyncIterator[httpx.AsyncClient]:
        app = create_app(settings.model_copy(update=changes), database=pool, client=client)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
        ):
            yield http

    return served


@pytest.fixture(scope="session")
async def gateway(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway with all upstreams available, which may be slow on a busy machine."""
    async with serve(read_timeout=timedelta(seconds=10)) as http:
        yield http


@pytest.fixture(scope="session")
async def without_database(serve: Serve, no_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway without PostgreSQL."""
    async with serve(pool=no_database) as http:
        yield http


@pytest.fixture(scope="session")
async def without_temporal(serve: Serve, no_temporal: Client) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway without Temporal."""
    async with serve(client=no_temporal) as http:
        yield http


@pytest.fixture(scope="session")
async def without_upstreams(
    serve: Serve, no_database: Database, no_temporal: Client
) -> AsyncIterator[httpx.AsyncClient]:
    """The gateway without PostgreSQL and Temporal."""
    async with serve(pool=no_database, client=no_temporal) as http:
        yield http


@pytest.fixture(scope="session")
def make_key(database: Database) -> MakeKey:
    keys = ApiKeyCommands(database)

    async def create(role: Role = Role.ADMIN, **changes: Any) -> str:  # noqa: ANN401 - the arguments of create
        arguments = {
            "client": f"client-{uuid4().hex[:8]}",
            "lifetime": timedelta(days=1),
            "created_by": "a test",
        } | changes
        text, _ = await keys.create(arguments.pop("client"), get_scopes([role]), **arguments)
        return text

    return create


@pytest.fixture(scope="session")
async def secured(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway that requires authentication."""
    cache = timedelta(milliseconds=1)
    async with serve(
        authentication="required", api_key_cache_ttl=cache, rate_limit="100000/second"
    ) as http:
        yield http


@pytest.fixture
def order_id() -> UUID:
    return uuid4()


@pytest.fixture
def record(postgres: EmbeddedPostgres) -> Callable[..., Awaitable[None]]:
    """Insert an order and its events as the order service would."""

    async def recorded(
        order_id: UUID,
        *,
        status: str = "awaiting_approval",
        fingerprint: str = "none",
        last_seq: int = 2,
        owner: str | None = None,
    ) -> None:
        connection = await asyncpg.connect(postgres.dsn)
        paid = "charged" if status == "shipped" else "none"
        await connection.execute(
            "INSERT INTO orders.orders (id, run_id, fingerprint, status, payment_status, customer,"
            " currency, total_minor, payment_token, address, tracking_number, last_seq,"
            " approval_deadline, created_at, updated_at, owner) VALUES"
            " ($1, 'run', $2, $3, $4, 'ada', 'USD', 5997, 'token', '{\"country\": \"US\"}',"
            " 'FZ1', $5, now(), now(), now(), $6)",
            *(order_id, fingerprint, status, paid, last_seq, owner),
        )
        for seq in range(1, last_seq + 1):
            await connection.execute(
                "INSERT INTO orders.events (order_id, seq, type, status, payment_status, actor,"
                " details, occurred_at) VALUES ($1, $2, $3, $4, $5, 'order-service',"
                ' \'{"note": "a"}\', now())',
                *(order_id, seq, "order_received" if seq == 1 else "order_validated", status, paid),
            )
        await connection.close()

    return recorded


@pytest.fixture
async def shipped(
    postgres: EmbeddedPostgres, order_id: UUID, record: Callable[..., Awaitable[None]]
) -> UUID:
    """A shipped order of three units of 19.99 USD that was charged."""
    await record(order_id, status="shipped")
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        "INSERT INTO orders.order_lines (order_id, position, line_id, sku, quantity,"
        " unit_price_minor, discount_minor, tax_minor, requires_shipping)"
        " VALUES ($1, 1, '1', 'TEAPOT-1', 3, 1999, 0, 0, true)",
        order_id,
    )
    await connection.execute(
        "INSERT INTO payments.payments (id, payment_token, order_id, amount_minor, currency, state,"
        " provider_reference, first_submitted_at)"
        " VALUES ($1, 'token', $2, 5997, 'USD', 'charged', $3, now())",
        *(uuid4(), order_id, f"ch_{order_id}"),
    )
    await connection.close()
    return order_id


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Wait for a condition in another process."""

    async def wait(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(10):
            while not await condition():
                await asyncio.sleep(0.05)

    return wait
