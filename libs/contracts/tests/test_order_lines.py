"""How lines and adjustments sum to an order's total, and which of them are refused."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuze_contracts.address import Address
from fuze_contracts.money import CURRENCY_EXPONENTS, MAX_AMOUNT_MINOR
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_lines import Adjustment, AdjustmentKind, OrderLine, sum_totals
from fuze_contracts.order_rules import find_violations

_AMOUNTS = st.integers(0, 10**9)


@st.composite
def _lines(draw: st.DrawFn) -> OrderLine:
    quantity, price, tax = draw(st.integers(1, 1000)), draw(_AMOUNTS), draw(_AMOUNTS)
    return OrderLine(
        sku=draw(st.sampled_from(["TEAPOT-1", "SPOON-1"])),
        quantity=quantity,
        unit_price_minor=price,
        discount_minor=draw(st.integers(0, quantity * price + tax)),
        tax_minor=tax,
    )


_ADJUSTMENTS = st.builds(
    Adjustment,
    kind=st.sampled_from(AdjustmentKind),
    label=st.just("a label"),
    amount_minor=_AMOUNTS,
)


def _line(**changes: Any) -> OrderLine:  # noqa: ANN401 - a message's fields
    fields = {"sku": "A", "quantity": 1, "unit_price_minor": 100}
    return OrderLine.model_validate(fields | changes)


def _adjustment(kind: str, amount_minor: int) -> Adjustment:
    return Adjustment(kind=AdjustmentKind(kind), label="a label", amount_minor=amount_minor)


def _order(**changes: Any) -> PlaceOrder:  # noqa: ANN401 - a message's fields
    fields: dict[str, Any] = {
        "order_id": UUID(int=1),
        "address": Address(country="US", postal_code="10001"),
        "fingerprint": "ab12",
        "payment_method": "pm_card_visa",
        "payment_token": "a-token",
    }
    return PlaceOrder(**(fields | changes))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    currency=st.sampled_from(sorted(CURRENCY_EXPONENTS)),
    lines=st.lists(_lines(), max_size=8),
    adjustments=st.lists(_ADJUSTMENTS, max_size=6),
)
def test_the_breakdown_sums_to_the_total_of_every_valid_order(
    currency: str, lines: list[OrderLine], adjustments: list[Adjustment]
) -> None:
    order = _order(lines=tuple(lines), adjustments=tuple(adjustments), currency=currency)
    totals, line_total = order.totals, sum(line.total_minor for line in lines)
    signed = [
        -one.amount_minor if one.kind is AdjustmentKind.DISCOUNT else one.amount_minor
        for one in adjustments
    ]

    assert totals.total_minor == line_total + sum(signed)
    assert totals.total_minor == (
        totals.subtotal_minor
        - totals.discount_minor
        + totals.shipping_minor
        + totals.tax_minor
        + totals.fee_minor
    )
    if not find_violations(order):
        assert 0 <= totals.total_minor <= MAX_AMOUNT_MINOR
        assert order.total.amount_minor == totals.total_minor
    else:
        assert totals.total_minor < 0


def test_ten_articles_can_cost_an_amount_that_ten_does_not_divide() -> None:
    lines = (_line(quantity=5, unit_price_minor=1792), _line(quantity=5, unit_price_minor=1793))

    assert _order(lines=lines).total_minor == 17925
    assert find_violations(_order(lines=lines)) == ()


def test_each_amount_is_in_its_part_of_the_breakdown() -> None:
    lines = [_line(quantity=3, unit_price_minor=1000, discount_minor=100, tax_minor=19)]
    adjustments = [
        *(_adjustment("discount", 200), _adjustment("shipping", 499)),
        *(_adjustment("tax", 80), _adjustment("fee", 35)),
    ]

    totals = sum_totals(lines, adjustments)

    assert (totals.subtotal_minor, totals.discount_minor, totals.shipping_minor) == (3000, 300, 499)
    assert (totals.tax_minor, totals.fee_minor, totals.total_minor) == (99, 35, 3333)


def test_a_line_without_an_id_has_its_position_as_id() -> None:
    order = _order(lines=(_line(), _line(line_id="a"), _line()))

    assert [line.line_id for line in order.lines] == ["1", "a", "3"]


@pytest.mark.parametrize(
    ("lines", "is_shipped"),
    [
        ((), True),
        ((_line(),), True),
        ((_line(requires_shipping=False), _line()), True),
        ((_line(requires_shipping=False),), False),
    ],
)
def test_an_order_is_shipped_unless_none_of_its_lines_requires_it(
    lines: tuple[OrderLine, ...], *, is_shipped: bool
) -> None:
    assert _order(lines=lines).requires_shipping is is_shipped


@pytest.mark.parametrize(
    ("changes", "code", "location"),
    [
        ({"lines": (_line(quantity=0),)}, "quantity_invalid", ("lines", 0, "quantity")),
        (
            {"lines": (_line(), _line(unit_price_minor=-1))},
            "amount_negative",
            ("lines", 1, "unit_price_minor"),
        ),
        ({"lines": (_line(tax_minor=-1),)}, "amount_negative", ("lines", 0, "tax_minor")),
        (
            {"lines": (_line(discount_minor=101),)},
            "line_total_negative",
            ("lines", 0, "discount_minor"),
        ),
        (
            {"lines": (_line(line_id="2"), _line())},
            "line_id_repeated",
            ("lines", 1, "line_id"),
        ),
        (
            {"adjustments": (_adjustment("fee", -1),)},
            "amount_negative",
            ("adjustments", 0, "amount_minor"),
        ),
        (
            {"lines": (_line(),), "adjustments": (_adjustment("discount", 101),)},
            "total_negative",
            ("adjustments",),
        ),
        ({"lines": (_line(unit_price_minor=MAX_AMOUNT_MINOR + 1),)}, "total_too_large", ("lines",)),
        (
            {
                "lines": (_line(unit_price_minor=MAX_AMOUNT_MINOR),) * 2,
                "adjustments": (_adjustment("discount", MAX_AMOUNT_MINOR),),
            },
            "total_too_large",
            ("lines",),
        ),
        ({"lines": (_line(),), "payment_method": None}, "payment_method_missing",
         ("payment_method",)),
        ({"currency": "ANG"}, "currency_unknown", ("currency",)),
        ({"address": None}, "address_missing", ("address",)),
    ],
)  # fmt: skip
def test_each_violation_has_its_code_and_names_the_field(
    changes: dict[str, Any], code: str, location: tuple[str | int, ...]
) -> None:
    [violation] = find_violations(_order(**changes))

    assert (violation.code, violation.location) == (code, location)


def test_every_violation_is_reported() -> None:
    order = _order(lines=(_line(quantity=0), _line(discount_minor=-5)), currency="XXX")

    assert [violation.code for violation in find_violations(order)] == [
        *("quantity_invalid", "amount_negative", "currency_unknown")
    ]


def test_a_free_order_needs_no_payment_method() -> None:
    discount = (_adjustment("discount", 100),)

    free = _order(lines=(_line(),), adjustments=discount, payment_method=None)

    assert find_violations(free) == ()
