import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from stripe_stand_in import KEY, Door, localstripe
from stripe_till import StripeTill
from till import Till

from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_payment.provider.stripe_client import connect
from fuze_payment.settings import PaymentSettings


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sandbox in a process of its own; its URL."""
    port = str(Ports.free().sandbox)
    folder = tmp_path_factory.mktemp("sandbox")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "fuze_sandbox"],
            env={
                **os.environ,
                "FUZE_SANDBOX_PORT": port,
                "FUZE_SANDBOX_DIR": str(folder),
            },
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    while True:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            httpx.get(f"{url}/readyz", trust_env=False)
            break
        except httpx.ConnectError:
            continue
    yield url
    process.terminate()
    process.wait(30)


@pytest.fixture
async def till(
    sandbox: str, postgres: EmbeddedPostgres, engine_of: Callable[[str], AsyncEngine]
) -> AsyncIterator[Till]:
    settings = PaymentSettings(
        database_url=postgres.url("payment"),
        psp_url=f"{sandbox}/psp",
        psp_timeout=1,
        payment_lease=1.5,
        psp_settle_window=timedelta(seconds=2),
        psp_review_poll_interval=timedelta(seconds=1),
    )
    async with httpx.AsyncClient(base_url=sandbox, trust_env=False) as http:
        till = Till(engine_of("payment"), http, settings)
        await till.conditions()
        yield till
        for client in till.clients:
            await client.aclose()


@pytest.fixture(scope="session")
def stripe_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with localstripe(tmp_path_factory.mktemp("localstripe")) as url:
        yield url


@pytest.fixture
async def stripe_till(
    stripe_url: str, postgres: EmbeddedPostgres, engine_of: Callable[[str], AsyncEngine]
) -> AsyncIterator[StripeTill]:
    door = Door(stripe_url)
    url = await door.open()
    settings = PaymentSettings(
        database_url=postgres.url("payment"),
        payment_provider="stripe",
        stripe_api_key=KEY,
        stripe_api_base=url,
        psp_timeout=2,
        payment_lease=3,
        psp_settle_window=timedelta(seconds=2),
        psp_review_poll_interval=timedelta(seconds=1),
    )
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
        connect(KEY, url, 2) as client,
    ):
        yield StripeTill(engine_of("payment"), http, settings, door=door, client=client)
    await door.close()
