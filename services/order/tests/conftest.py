from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from fuze_contracts.order import OrderLine, PlaceOrder
from fuze_contracts.shipping import Address

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
