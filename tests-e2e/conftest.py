"""A stack that end-to-end tests share."""

from collections.abc import Iterator

import pytest
from stack_client import StackClient
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

_SETTINGS = {
    # What an outage leaves unresolved is tried again after these; they are longer in production.
    "FUZE_PSP_TIMEOUT": "4",
    "FUZE_PAYMENT_LEASE": "6",
    "FUZE_PSP_SETTLE_WINDOW": "5",
    "FUZE_PSP_REVIEW_POLL_INTERVAL": "2",
    "FUZE_ORDER_RECONCILE_INTERVAL": "5",
    "FUZE_ORDER_RECONCILE_IDLE": "2",
    "FUZE_SHIPS_TO": "US,DE,HK",
    "FUZE_WEBHOOK_TIMEOUT": "3",
    "FUZE_WEBHOOK_RETRY_DELAYS": str([0.3] * 100),
}


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, fuze: list[str]) -> Iterator[StackClient]:
    """Return the stack that most tests share; a test that breaks a part of it repairs it.

    It ends with these tests: an idle stack would take time from those that follow.
    """
    stack = StackClient(tmp_path_factory.mktemp("stack"), fuze, _SETTINGS)
    stack.start()
    yield stack
    stack.stop()
    stack.http.close()


@pytest.fixture
async def temporal(stack: StackClient) -> Client:
    """Return a client of the stack's Temporal server."""
    return await Client.connect(
        stack.connection_info["temporal"]["address"], data_converter=pydantic_data_converter
    )
