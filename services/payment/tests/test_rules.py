from typing import Any
from uuid import UUID, uuid4

import pytest

from fuze_contracts.money import Money
from fuze_contracts.payment import ChargePayment
from fuze_payment.rules import Payment, asks_the_same, payment_id

_ORDER = UUID("123e4567-e89b-12d3-a456-426614174000")


def _command(**changes: Any) -> ChargePayment:  # noqa: ANN401 - a message's fields
    fields: dict[str, Any] = {
        "order_id": _ORDER,
        "payment_token": "token",
        "amount": Money(amount_minor=100, currency="USD"),
        "payment_method": "pm_card_visa",
    }
    return ChargePayment(**(fields | changes))


_PAYMENT = Payment(
    id=payment_id("token"),
    payment_token="token",
    order_id=_ORDER,
    amount_minor=100,
    currency="USD",
    payment_method="pm_card_visa",
    state="claimed",
    provider_reference=None,
    decline_code=None,
)


def test_a_token_has_one_payment_id_whoever_asks() -> None:
    assert payment_id("token") == payment_id("token")
    assert payment_id("token") != payment_id("another token")


def test_a_repeat_asks_the_same() -> None:
    assert asks_the_same(_PAYMENT, _command())


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": uuid4()},
        {"amount": Money(amount_minor=101, currency="USD")},
        {"amount": Money(amount_minor=100, currency="EUR")},
        {"payment_method": "pm_other"},
        {"payment_method": None},
    ],
)
def test_the_same_token_for_something_else_does_not(changes: dict[str, Any]) -> None:
    assert not asks_the_same(_PAYMENT, _command(**changes))
