import sysconfig
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from order_harness import FakePaymentService, OrderHarness, run_workers
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.address import Address
from fuze_contracts.order import OrderLine, PlaceOrder
from fuze_order.repository import OrderRepository

Order = Callable[..., PlaceOrder]


@pytest.fixture
def make_order() -> Order:
    """Make a valid order of 59.97 USD, with the given fields changed."""

    def build(**changes: Any) -> PlaceOrder:  # noqa: ANN401 - a message's fields
        order_id = uuid4()
        fields: dict[str, Any] = {
            "order_id": order_id,
            "address": Address(country="US", postal_code="10001"),
            "fingerprint": "a-fingerprint",
            "lines": (OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),),
            "payment_method": "pm_card_visa",
            "payment_token": f"{order_id}:1",
            "approval_timeout": timedelta(days=7),
        }
        return PlaceOrder(**(fields | changes))

    return build


@pytest.fixture
async def harness(
    time_skipping: WorkflowEnvironment, engine_of: Callable[[str], AsyncEngine]
) -> AsyncIterator[OrderHarness]:
    engine = engine_of("order")
    harness = OrderHarness(time_skipping, engine, FakePaymentService())
    harness.respond_at_once()
    async with run_workers(harness, OrderRepository(engine)):
        yield harness


@pytest.fixture(scope="session")
async def dev_server() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal dev server, for what the time-skipping one cannot do: resets, worker changes."""
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(Path(sysconfig.get_path("scripts")) / "temporal"),
        data_converter=pydantic_data_converter,
        dev_server_log_level="error",
    ) as environment:
        yield environment
