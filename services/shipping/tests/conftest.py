"""The shipping service's activities over a real PostgreSQL and the sandbox carrier."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_sandbox.app import create_app
from fuze_sandbox.store import SandboxStore
from fuze_shipping.carrier.sandbox import SandboxCarrier
from fuze_shipping.dispatch_service import DispatchService
from fuze_shipping.repository import ShipmentRepository


@pytest.fixture
def repository(engine_of: Callable[[str], AsyncEngine]) -> ShipmentRepository:
    return ShipmentRepository(engine_of("shipping"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SandboxStore]:
    """The sandbox carrier's own records."""
    store = SandboxStore(tmp_path)
    yield store
    store.close()


@pytest.fixture
async def sandbox(store: SandboxStore) -> AsyncIterator[httpx.AsyncClient]:
    # A dropped response is an exception of the app; a client sees only that the body is missing.
    transport = httpx.ASGITransport(create_app(store), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield client


@pytest.fixture
async def carrier(sandbox: httpx.AsyncClient) -> AsyncIterator[SandboxCarrier]:
    transport = sandbox._transport
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox/carrier/") as client:
        yield SandboxCarrier(client, timeout=5)


@pytest.fixture
def dispatch_service(repository: ShipmentRepository, carrier: SandboxCarrier) -> DispatchService:
    return DispatchService(repository, carrier, settle_window=timedelta(minutes=5))
