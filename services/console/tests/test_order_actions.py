"""What the dialogs of an order send to the gateway."""

from typing import Any
from uuid import UUID

import pytest
from api_examples import ORDER_ID
from scripted_server import Response, scripted_server
from starlette.datastructures import FormData

from fuze_client import AsyncFuzeClient
from fuze_console.pages.order_actions import _parse_amount, _send

_ACCEPTED = {
    "order_id": ORDER_ID,
    "refund_id": ORDER_ID,
    "amount_minor": 1,
    "currency": "USD",
    "lines": [],
    "payments_url": "/",
}
_FORM = {
    "amount": "19.99",
    "currency": "USD",
    "quantity:1": "2",
    "quantity:2": "0",
    "include_shipping": "true",
    "reason": " broken ",
    "idempotency_key": "k1",
}


@pytest.mark.parametrize(
    ("mode", "sent"),
    [
        ("all", {}),
        ("amount", {"amount_minor": 1999}),
        ("lines", {"lines": [{"line_id": "1", "quantity": 2}], "include_shipping": True}),
    ],
)
async def test_a_refund_sends_what_was_chosen_and_nothing_else(
    mode: str, sent: dict[str, Any]
) -> None:
    with scripted_server() as server:
        server.respond(Response(202, _ACCEPTED))
        async with AsyncFuzeClient(server.url) as client:
            await _send(client, UUID(ORDER_ID), "refund", FormData(_FORM | {"mode": mode}), "grace")

    [request] = server.requests
    assert request.body == sent | {"reason": "broken", "actor": "grace"}
    assert request.headers["idempotency-key"] == "k1"


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("19.99", "USD", 1999),
        ("5", "JPY", 5),
        ("1.234", "KWD", 1234),
        ("19.999", "USD", 0),
        ("0.5", "JPY", 0),
        ("nineteen", "USD", 0),
        ("Infinity", "USD", 0),
        ("", "USD", 0),
    ],
)
def test_an_amount_is_sent_in_minor_units_and_one_that_is_none_as_zero(
    amount: str, currency: str, minor: int
) -> None:
    assert _parse_amount(FormData({"amount": amount, "currency": currency})) == minor
