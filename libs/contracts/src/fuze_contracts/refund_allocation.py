"""How much each line of an order is refunded. Pure; amounts are in minor units.

An order's total is divided into shares: one for each line, and one for shipping. Discounts, taxes
and fees of the order as a whole are allocated to the lines in proportion to the lines' totals, by
largest remainder: the shares sum to the total exactly. A line's share is divided into its units in
the same way, so that the refunds of all units sum to the share, however they are split up.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fuze_contracts.base import Message


class RefundLine(Message):
    """A quantity of one line that is to be refunded."""

    line_id: str
    quantity: int


class RefundedLine(Message):
    """What a refund contains of one line; `line_id` is None for shipping."""

    line_id: str | None
    quantity: int
    amount_minor: int


class LineShare(Message):
    """A line of the order, and its share of the order's total."""

    line_id: str
    quantity: int
    amount_minor: int


class OrderShares(Message):
    """An order's total, divided into its lines and shipping."""

    lines: tuple[LineShare, ...]
    shipping_minor: int = 0


class QuantityExceededError(Exception):
    """More units of a line are to be refunded than are left, or shipping a second time.

    `line_id` is None for shipping; `left` is how many units are left.
    """

    def __init__(self, line_id: str | None, left: int) -> None:
        super().__init__(f"{left} left of {line_id or 'shipping'}")
        self.line_id = line_id
        self.left = left


def allocate(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Divide an amount in proportion to the weights, by largest remainder.

    The parts sum to the amount. Equal remainders are served in the order of the weights. Where all
    weights are zero, they count as equal. The amount and the weights must not be negative.
    """
    if not any(weights):
        weights = [1] * len(weights)
    total = sum(weights)
    parts = [amount_minor * weight // total for weight in weights]
    by_remainder = sorted(
        range(len(weights)), key=lambda index: -(amount_minor * weights[index] % total)
    )
    for index in by_remainder[: amount_minor - sum(parts)]:
        parts[index] += 1
    return parts


def divide_order(
    lines: Sequence[Mapping[str, Any]], adjustments: Iterable[Mapping[str, Any]] = ()
) -> OrderShares:
    """Return the shares of a published order's lines and of its shipping.

    A line without a `line_id` has its position as its id, counted from 1. A discount above the
    lines, taxes and fees reduces the share of shipping. An order without lines is all shipping.
    """
    totals = [_line_total(line) for line in lines]
    amounts = {"shipping": 0, "discount": 0}
    for adjustment in adjustments:
        kind = adjustment["kind"]
        amounts[kind] = amounts.get(kind, 0) + adjustment["amount_minor"]
    shipping, discount = amounts.pop("shipping"), amounts.pop("discount")
    of_lines = sum(totals) + sum(amounts.values()) - discount
    if of_lines < 0 or not totals:
        of_lines, shipping = 0, shipping + of_lines
    shares = allocate(of_lines, totals) if totals else []
    return OrderShares(
        lines=tuple(
            LineShare(
                line_id=line.get("line_id") or str(position),
                quantity=line["quantity"],
                amount_minor=share,
            )
            for position, (line, share) in enumerate(zip(lines, shares, strict=True), start=1)
        ),
        shipping_minor=shipping,
    )


def price_refund(
    shares: OrderShares,
    requested: Sequence[RefundLine],
    *,
    include_shipping: bool,
    earlier: Sequence[RefundedLine],
    up_to_left: bool = False,
) -> list[RefundedLine]:
    """Return what the refund contains; `earlier` is what other refunds contain already.

    A refund brings each of its lines to the sum of its units' parts. So a line is refunded exactly
    once all its units are, even if an earlier refund failed in between. With `up_to_left` it
    contains of the requested units those that are left.

    Raises:
        QuantityExceededError: fewer units are left of a line than requested.

    """
    by_id = {share.line_id: share for share in shares.lines}
    priced: list[RefundedLine] = []
    for one in requested:
        share = by_id.get(one.line_id)
        if share is None:
            raise QuantityExceededError(one.line_id, 0)
        units, amount_minor = _sum_of(one.line_id, [*earlier, *priced])
        left = max(share.quantity - units, 0)
        if one.quantity > left and not up_to_left:
            raise QuantityExceededError(one.line_id, left)
        quantity = min(one.quantity, left)
        if quantity == 0:
            continue
        target = _units_share(share, units + quantity)
        priced.append(
            RefundedLine(
                line_id=one.line_id,
                quantity=quantity,
                amount_minor=max(target - amount_minor, 0),
            )
        )
    is_shipping_refunded = bool(_sum_of(None, earlier)[0])
    if include_shipping and is_shipping_refunded and not up_to_left:
        raise QuantityExceededError(None, 0)
    if include_shipping and not is_shipping_refunded:
        priced.append(RefundedLine(line_id=None, quantity=1, amount_minor=shares.shipping_minor))
    return priced


def limit_refund(lines: Sequence[RefundedLine], limit_minor: int) -> list[RefundedLine]:
    """Return the lines with amounts that sum to the limit at most; the first ones keep theirs.

    A later refund of the same line contains what is missing, if money is left for it.
    """
    limited = []
    for line in lines:
        amount_minor = min(line.amount_minor, limit_minor)
        limit_minor -= amount_minor
        limited.append(line.model_copy(update={"amount_minor": amount_minor}))
    return limited


def _line_total(line: Mapping[str, Any]) -> int:
    if "total_minor" in line:
        return int(line["total_minor"])
    gross: int = line["quantity"] * line["unit_price_minor"]
    return gross - int(line.get("discount_minor", 0)) + int(line.get("tax_minor", 0))


def _units_share(share: LineShare, units: int) -> int:
    """Return the first units' parts of the share: the largest remainder of equal weights."""
    each, remainder = divmod(share.amount_minor, share.quantity)
    return units * each + min(units, remainder)


def _sum_of(line_id: str | None, refunded: Iterable[RefundedLine]) -> tuple[int, int]:
    matching = [one for one in refunded if one.line_id == line_id]
    return sum(one.quantity for one in matching), sum(one.amount_minor for one in matching)
