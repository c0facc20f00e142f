import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import httpx
import pytest
from fake_stripe import API_KEY, FakeStripe, run_localstripe
from payment_harness import PaymentHarness
from sqlalchemy.ext.asyncio import AsyncEngine
from stripe_harness import StripeHarness

from fuze_devstack.ports import Ports
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_payment.settings import PaymentSettings
from fuze_psp.stripe.client import connect


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a sandbox in its own process."""
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
async def harness(
    sandbox: str, postgres: EmbeddedPostgres, engine_of: Callable[[str], AsyncEngine]
) -> AsyncIterator[PaymentHarness]:
    settings = PaymentSettings(
        database_url=postgres.url("payment"),
        psp_url=f"{sandbox}/psp",
        psp_timeout=timedelta(seconds=10),
        payment_lease=timedelta(seconds=15),
        psp_settle_window=timedelta(seconds=2),
        psp_review_poll_interval=timedelta(seconds=1),
    )
    async with (
        httpx.AsyncClient(base_url=sandbox, trust_env=False) as http,
        httpx.AsyncClient(base_url=f"{sandbox}/psp/", timeout=10, trust_env=False) as psp,
    ):
        harness = PaymentHarness(engine_of("payment"), http, settings, psp)
        await harness.set_faults()
        yield harness


@pytest.fixture(scope="session")
def localstripe_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_localstripe(tmp_path_factory.mktemp("localstripe")) as url:
        yield url


@pytest.fixture
async def stripe(
    localstripe_url: str, postgres: EmbeddedPostgres, engine_of: Callable[[str], AsyncEngine]
) -> AsyncIterator[StripeHarness]:
    fake = FakeStripe(localstripe_url)
    url = await fake.start()
    settings = PaymentSettings(
        database_url=postgres.url("payment"),
        payment_provider="stripe",
        stripe_api_key=API_KEY,
        stripe_api_base=url,
        psp_timeout=timedelta(seconds=10),
        payment_lease=timedelta(seconds=15),
        psp_settle_window=timedelta(seconds=2),
        psp_review_poll_interval=timedelta(seconds=1),
    )
    async with (
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
        connect(API_KEY, url, settings.psp_timeout) as client,
    ):
        yield StripeHarness(engine_of("payment"), http, settings, http, fake=fake, client=client)
    await fake.stop()
