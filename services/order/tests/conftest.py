from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from shop import PaymentService, Shop, open_shop
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import WorkflowEnvironment

from fuze_contracts.order import OrderLine, PlaceOrder
from fuze_contracts.shipping import Address
from fuze_order.repository import OrderRepository

Order = Callable[..., PlaceOrder]


@pytest.fixture
def an_order() -> Order:
    """A valid order of 59.97 USD, but for what is named."""

    def made(**changes: Any) -> PlaceOrder:  # noqa: ANN401 - a message's fields
        order_id = uuid4()
        fields: dict[str, Any] = {
            "order_id": order_id,
            "address": Address(zip_code="10001"),
            "fingerprint": "a-fingerprint",
            "lines": (OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),),
            "payment_method": "pm_card_visa",
            "payment_token": f"{order_id}:1",
            "approval_timeout": timedelta(days=7),
        }
        return PlaceOrder(**(fields | changes))

    return made


@pytest.fixture
async def shop(
    time_skipping: WorkflowEnvironment, engine_of: Callable[[str], AsyncEngine]
) -> AsyncIterator[Shop]:
    engine = engine_of("order")
    shop = Shop(time_skipping, engine, PaymentService())
    shop.open_for_business()
    async with open_shop(shop, OrderRepository(engine)):
        yield shop
