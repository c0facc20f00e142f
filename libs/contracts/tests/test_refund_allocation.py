"""Refunds of lines: whatever is refunded in which order, the parts sum to the whole."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuze_contracts.money import CURRENCY_EXPONENTS
from fuze_contracts.refund_allocation import (
    LineShare,
    OrderShares,
    QuantityExceededError,
    RefundedLine,
    RefundLine,
    allocate,
    divide_order,
    limit_refund,
    price_refund,
)

AMOUNTS = st.integers(min_value=0, max_value=10**7)


@st.composite
def orders(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """Draw lines, adjustments and their total, in a currency of 0, 2 or 3 decimals."""
    unit = 10 ** CURRENCY_EXPONENTS[draw(st.sampled_from(["JPY", "USD", "KWD"]))]
    prices = st.integers(min_value=0, max_value=2000 * unit)
    lines = []
    for number in range(draw(st.integers(min_value=1, max_value=6))):
        quantity, price, tax = draw(st.integers(1, 12)), draw(prices), draw(prices)
        discount = draw(st.integers(0, quantity * price + tax))
        lines.append(
            {
                "line_id": f"line-{number}",
                "sku": "A",  # on several lines
                "quantity": quantity,
                "unit_price_minor": price,
                "discount_minor": discount,
                "tax_minor": tax,
                "total_minor": quantity * price - discount + tax,
            }
        )
    total = sum(line["total_minor"] for line in lines)
    adjustments = []
    for kind in draw(st.lists(st.sampled_from(["shipping", "tax", "fee"]), max_size=4)):
        adjustments.append({"kind": kind, "amount_minor": draw(prices)})
        total += adjustments[-1]["amount_minor"]
    if draw(st.booleans()):
        adjustments.append({"kind": "discount", "amount_minor": draw(st.integers(0, total))})
        total -= adjustments[-1]["amount_minor"]
    return lines, adjustments, total


@settings(deadline=None)
@given(orders())
def test_the_shares_of_an_order_are_not_negative_and_sum_to_its_total(
    order: tuple[list[dict[str, Any]], list[dict[str, Any]], int],
) -> None:
    lines, adjustments, total = order

    shares = divide_order(lines, adjustments)

    parts = [*(share.amount_minor for share in shares.lines), shares.shipping_minor]
    assert sum(parts) == total
    assert min(parts) >= 0


@settings(deadline=None)
@given(orders(), st.randoms(use_true_random=False), st.booleans())
def test_any_sequence_of_refunds_sums_to_at_most_the_total_and_in_the_end_to_the_total(
    order: tuple[list[dict[str, Any]], list[dict[str, Any]], int],
    rng: random.Random,
    some_fail: bool,  # noqa: FBT001 - drawn
) -> None:
    lines, adjustments, total = order
    shares = divide_order(lines, adjustments)
    refunds: list[list[RefundedLine]] = []
    while left := _left(shares, refunds):
        chosen = rng.sample(sorted(left), rng.randint(1, len(left)))
        requested = [
            RefundLine(line_id=line_id, quantity=rng.randint(1, left[line_id]))
            for line_id in chosen
            if line_id
        ]
        refunds.append(
            price_refund(
                shares, requested, include_shipping="" in chosen, earlier=_flatten(refunds)
            )
        )
        assert min(line.amount_minor for line in refunds[-1]) >= 0
        assert sum(line.amount_minor for line in _flatten(refunds)) <= total
        if some_fail and len(refunds) > 1 and rng.random() < 0.3:
            refunds.pop(rng.randrange(len(refunds)))  # its reservation is released

    assert sum(line.amount_minor for line in _flatten(refunds)) == total


@settings(deadline=None)
@given(orders(), st.randoms(use_true_random=False))
def test_refunds_of_what_is_left_sum_to_the_total_whatever_was_refunded_before(
    order: tuple[list[dict[str, Any]], list[dict[str, Any]], int], rng: random.Random
) -> None:
    lines, adjustments, total = order
    shares = divide_order(lines, adjustments)
    by_amount = rng.randint(0, total)
    refunded: list[RefundedLine] = []
    for _ in range(2):
        everything = [
            RefundLine(line_id=share.line_id, quantity=rng.randint(1, share.quantity))
            for share in shares.lines
        ]
        refunded += _refund_up_to_left(shares, everything, by_amount, total, refunded)
    everything = [
        RefundLine(line_id=share.line_id, quantity=share.quantity) for share in shares.lines
    ]
    refunded += _refund_up_to_left(shares, everything, by_amount, total, refunded)

    assert by_amount + sum(line.amount_minor for line in refunded) == total
    units = Counter(line.line_id for line in refunded for _ in range(line.quantity))
    assert units == Counter({share.line_id: share.quantity for share in shares.lines}) + Counter(
        {None: 1}
    )


def _refund_up_to_left(
    shares: OrderShares,
    requested: list[RefundLine],
    by_amount: int,
    total: int,
    earlier: list[RefundedLine],
) -> list[RefundedLine]:
    """Return what a refund contains after another one of an amount, and these ones of lines."""
    priced = price_refund(
        shares, requested, include_shipping=True, earlier=earlier, up_to_left=True
    )
    left = total - by_amount - sum(line.amount_minor for line in earlier)
    return limit_refund(priced, left)


@settings(deadline=None)
@given(AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=20))
def test_an_allocation_sums_to_the_amount_and_is_off_by_less_than_one_each(
    amount: int, weights: list[int]
) -> None:
    parts = allocate(amount, weights)

    assert sum(parts) == amount
    total = sum(weights)
    if total:
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part * total - amount * weight) < total


def test_ten_of_something_that_cannot_be_divided_by_ten_are_refunded_one_by_one() -> None:
    shares = divide_order([{"quantity": 10, "unit_price_minor": 0, "total_minor": 17_925}])
    refunds: list[RefundedLine] = []

    for _ in range(10):
        one = [RefundLine(line_id="1", quantity=1)]
        refunds += price_refund(shares, one, include_shipping=False, earlier=refunds)

    assert [line.amount_minor for line in refunds] == [1793] * 5 + [1792] * 5


def test_a_discount_of_the_order_reduces_the_refund_of_each_line_in_proportion() -> None:
    lines = [
        {"line_id": "a", "quantity": 1, "unit_price_minor": 1000},
        {"line_id": "b", "quantity": 2, "unit_price_minor": 1000},
    ]
    adjustments = [
        {"kind": "discount", "amount_minor": 100},
        {"kind": "shipping", "amount_minor": 490},
    ]

    assert divide_order(lines, adjustments) == OrderShares(
        lines=(
            LineShare(line_id="a", quantity=1, amount_minor=967),
            LineShare(line_id="b", quantity=2, amount_minor=1933),
        ),
        shipping_minor=490,
    )


def test_a_discount_above_the_lines_reduces_shipping() -> None:
    lines = [{"quantity": 1, "unit_price_minor": 300}]
    adjustments = [
        {"kind": "discount", "amount_minor": 500},
        {"kind": "shipping", "amount_minor": 490},
    ]

    shares = divide_order(lines, adjustments)

    assert (shares.lines[0].amount_minor, shares.shipping_minor) == (0, 290)


@pytest.mark.parametrize(
    ("requested", "include_shipping", "line_id", "left"),
    [
        (RefundLine(line_id="1", quantity=2), False, "1", 1),
        (RefundLine(line_id="2", quantity=1), False, "2", 0),
        (RefundLine(line_id="1", quantity=1), True, None, 0),
    ],
    ids=["more than is left", "no such line", "shipping twice"],
)
def test_what_is_refunded_already_is_not_refunded_again(
    requested: RefundLine,
    include_shipping: bool,  # noqa: FBT001 - a parameter
    line_id: str | None,
    left: int,
) -> None:
    shares = divide_order([{"quantity": 2, "unit_price_minor": 300}])
    one = [RefundLine(line_id="1", quantity=1)]
    earlier = price_refund(shares, one, include_shipping=True, earlier=[])

    with pytest.raises(QuantityExceededError) as error:
        price_refund(shares, [requested], include_shipping=include_shipping, earlier=earlier)

    assert (error.value.line_id, error.value.left) == (line_id, left)


def _flatten(refunds: list[list[RefundedLine]]) -> list[RefundedLine]:
    return [line for refund in refunds for line in refund]


def _left(shares: OrderShares, refunds: list[list[RefundedLine]]) -> dict[str, int]:
    """Return how many units of each line are left; shipping is the line without a name."""
    left = {share.line_id: share.quantity for share in shares.lines} | {"": 1}
    for line in _flatten(refunds):
        left[line.line_id or ""] -= line.quantity
    return {line_id: quantity for line_id, quantity in left.items() if quantity}
