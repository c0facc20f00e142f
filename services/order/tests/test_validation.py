from collections.abc import Callable

import pytest
from order_harness import NOT_SERVED
from pydantic import ValidationError

from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_lines import OrderLine
from fuze_order.settings import OrderSettings
from fuze_order.validation import OrderRules, find_violations

Order = Callable[..., PlaceOrder]

_RULES = OrderRules(ships_to=frozenset({"US"}), max_order_totals={"USD": 100_000})


def _codes(order: PlaceOrder) -> list[str]:
    return [violation.code for violation in find_violations(order, _RULES)]


def _line(**changes: object) -> OrderLine:
    fields = {"sku": "A", "quantity": 1, "unit_price_minor": 100}
    return OrderLine.model_validate(fields | changes)


def test_a_valid_order_has_no_violations(make_order: Order) -> None:
    assert _codes(make_order()) == []


def test_an_order_without_lines_needs_no_payment_method(make_order: Order) -> None:
    assert _codes(make_order(lines=(), payment_method=None)) == []


def test_without_a_list_of_countries_an_order_ships_to_every_one(make_order: Order) -> None:
    assert find_violations(make_order(address=NOT_SERVED), OrderRules()) == ()


def test_a_country_that_is_not_served_is_a_violation_that_names_those_that_are(
    make_order: Order,
) -> None:
    [violation] = find_violations(
        make_order(address=NOT_SERVED), OrderRules(ships_to=frozenset({"DE", "AT"}))
    )

    assert violation.code == "country_not_served"
    assert violation.message == "orders are not shipped to FR; give an address in AT, DE"


def test_of_many_countries_the_violation_lists_some(make_order: Order) -> None:
    served = frozenset({"AT", "BE", "CH", "DE", "DK", "ES", "FI", "GB", "IE", "IT", "NL"})

    [violation] = find_violations(make_order(address=NOT_SERVED), OrderRules(ships_to=served))

    assert violation.message.endswith("IE, IT, …")


def test_a_billing_address_may_be_anywhere(make_order: Order) -> None:
    assert _codes(make_order(billing_address=NOT_SERVED)) == []


@pytest.mark.parametrize("text", ["DE,AT", " de , at ", "DE,AT,"])
def test_the_countries_are_a_list_of_codes(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://nowhere/")
    monkeypatch.setenv("FUZE_SHIPS_TO", text)

    assert OrderSettings().ships_to == ["DE", "AT"]


def test_an_unknown_country_stops_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUZE_DATABASE_URL", "postgresql://nowhere/")
    monkeypatch.setenv("FUZE_SHIPS_TO", "DE,UK")

    with pytest.raises(ValidationError, match="not UK"):
        OrderSettings()


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
    [violation] = find_violations(make_order(), OrderRules(max_order_totals={"USD": 5000}))

    assert violation.message == (
        "the total of 59.97 USD exceeds the limit of 50.00 USD; split the order"
    )


def test_all_violations_are_reported_together(make_order: Order) -> None:
    bad = make_order(address=NOT_SERVED, lines=(_line(quantity=0),), payment_method=None)
    assert _codes(bad) == ["country_not_served", "quantity_invalid"]
