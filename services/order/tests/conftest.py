from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from order_harness import FakePaymentService, OrderHarness, run_workers
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.address import Address
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_lines import OrderLine
from fuze_order import service_calls
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


@pytest.fixture
async def without_workers(
    dev_server: WorkflowEnvironment,
    engine_of: Callable[[str], AsyncEngine],
    monkeypatch: pytest.MonkeyPatch,
) -> OrderHarness:
    """On the real clock: for resets, terminations and worker changes, which time skipping lacks."""
    monkeypatch.setattr(service_calls, "_RESTART_CHILD_AFTER", timedelta(seconds=0.2))
    harness = OrderHarness(dev_server, engine_of("order"), FakePaymentService())
    harness.respond_at_once()
    return harness
