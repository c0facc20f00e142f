from collections.abc import Callable

import pytest

from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.shipping import Address
from fuze_order.validation import find_violations

Order = Callable[..., PlaceOrder]


def _codes(order: PlaceOrder) -> list[str]:
    return [violation.code for violation in find_violations(order, {"USD": 100_000})]


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
        ({"currency": "XYZ"}, "currency_unknown"),
        ({"payment_method": None}, "payment_method_missing"),
        ({"lines": (_line(unit_price_minor=100_001),)}, "total_above_limit"),
        ({"address": None}, "address_missing"),
    ],
)
def test_each_rule_has_its_code(make_order: Order, changes: dict[str, object], code: str) -> None:
    assert _codes(make_order(**changes)) == [code]


@pytest.mark.parametrize(
    "changes",
    [
        {"lines": (_line(unit_price_minor=100_000),)},
        {"lines": (_line(unit_price_minor=100_001),), "currency": "EUR"},
    ],
    ids=["at the limit", "another currency"],
)
def test_a_total_within_the_limit_of_its_currency_is_valid(
    make_order: Order, changes: dict[str, object]
) -> None:
    assert _codes(make_order(**changes)) == []


def test_the_limit_is_named_with_the_total(make_order: Order) -> None:
    [violation] = find_violations(make_order(), {"USD": 5000})

    assert violation.message == (
        "the total of 59.97 USD exceeds the limit of 50.00 USD; split the order"
    )


def test_all_violations_are_reported_together(make_order: Order) -> None:
    bad = make_order(address=Address(zip_code="?"), lines=(_line(quantity=0),), currency="XYZ")
    assert _codes(bad) == ["zip_code_invalid", "quantity_invalid", "currency_unknown"]
