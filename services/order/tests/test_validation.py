from collections.abc import Callable

import pytest

from fuze_contracts.money import MAX_AMOUNT_MINOR
from fuze_contracts.order import OrderLine, PlaceOrder
from fuze_contracts.shipping import Address
from fuze_order.validation import find_violations

Order = Callable[..., PlaceOrder]


def _codes(order: PlaceOrder) -> list[str]:
    return [violation.code for violation in find_violations(order)]


def _line(**changes: object) -> OrderLine:
    fields = {"sku": "A", "quantity": 1, "unit_price_minor": 100}
    return OrderLine.model_validate(fields | changes)


def test_a_valid_order_has_no_violations(make_order: Order) -> None:
    assert _codes(make_order()) == []


def test_an_order_without_lines_needs_no_payment_method(make_order: Order) -> None:
    assert _codes(make_order(lines=(), payment_method=None)) == []


@pytest.mark.parametrize(
    ("country", "zip_code"),
    [("US", "10001"), ("US", "10001-1234"), ("CA", "K1A 0B1"), ("GB", "SW1A 1AA"),
     ("DE", "10115"), ("FR", "75001"), ("JP", "100-0001")],
)  # fmt: skip
def test_zip_codes_of_many_countries_pass(make_order: Order, country: str, zip_code: str) -> None:
    assert _codes(make_order(address=Address(zip_code=zip_code, country=country))) == []


@pytest.mark.parametrize(
    ("country", "zip_code"),
    [("US", ""), ("US", "1000"), ("US", "10001 "), ("US", "ABCDE"), ("CA", "10001"),
     ("GB", "10001"), ("JP", "*"), ("JP", "1" * 16), ("US", "1000\u0661"), ("GB", "\u017fW1A 1AA")],
)  # fmt: skip
def test_a_zip_code_that_is_none_of_the_country_is_a_violation(
    make_order: Order, country: str, zip_code: str
) -> None:
    assert _codes(make_order(address=Address(zip_code=zip_code, country=country))) == [
        "zip_code_invalid"
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lines": (_line(quantity=0),)}, "quantity_invalid"),
        ({"lines": (_line(), _line(sku="B", unit_price_minor=-1))}, "price_invalid"),
        ({"lines": (_line(), _line())}, "sku_repeated"),
        ({"currency": "XYZ"}, "currency_unknown"),
        ({"lines": (_line(unit_price_minor=MAX_AMOUNT_MINOR + 1),)}, "total_too_large"),
        ({"payment_method": None}, "payment_method_missing"),
    ],
)
def test_each_rule_has_its_code(make_order: Order, changes: dict[str, object], code: str) -> None:
    assert _codes(make_order(**changes)) == [code]


def test_all_violations_are_reported_together(make_order: Order) -> None:
    bad = make_order(address=Address(zip_code="?"), lines=(_line(quantity=0),), payment_method=None)
    assert _codes(bad) == ["zip_code_invalid", "quantity_invalid"]
