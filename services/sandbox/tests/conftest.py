"""The sandbox in the test's own process, over a store in a temporary folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from fuze_sandbox.app import create_app
from fuze_sandbox.store import SandboxStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SandboxStore]:
    store = SandboxStore(tmp_path)
    yield store
    store.close()


@pytest.fixture
async def http(store: SandboxStore) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(store))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield client
