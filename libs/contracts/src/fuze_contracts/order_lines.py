"""What an order costs: its lines, its adjustments, and how they sum to its total. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from fuze_contracts.base import Message


class OrderLine(Message):
    """A quantity of one article.

    Amounts are in minor units of the order's currency. `unit_price_minor` is for one unit, the
    discount and the tax are for the whole line. `line_id` identifies the line in its order: the
    same `sku` may be on several lines.
    """

    sku: str
    quantity: int
    unit_price_minor: int
    line_id: str = ""
    name: str | None = None
    discount_minor: int = 0
    tax_minor: int = 0
    requires_shipping: bool = True

    @property
    def total_minor(self) -> int:
        """What the line costs. Unbounded before validation."""
        return self.quantity * self.unit_price_minor - self.discount_minor + self.tax_minor


class AdjustmentKind(StrEnum):
    """What an adjustment is for. A discount is subtracted from the total, the others are added."""

    DISCOUNT = "discount"
    SHIPPING = "shipping"
    TAX = "tax"
    FEE = "fee"


class Adjustment(Message):
    """An amount of the whole order, beside its lines; `label` names it for people."""

    kind: AdjustmentKind
    label: str
    amount_minor: int


@dataclass(frozen=True, kw_only=True)
class OrderTotals:
    """The breakdown of an order's total, in minor units.

    `subtotal_minor` is the sum of quantity times unit price. The others are sums of the lines'
    discounts and taxes, and of the adjustments. Unbounded before validation.
    """

    subtotal_minor: int
    discount_minor: int
    shipping_minor: int
    tax_minor: int
    fee_minor: int

    @property
    def total_minor(self) -> int:
        """What the order costs."""
        added = self.shipping_minor + self.tax_minor + self.fee_minor
        return self.subtotal_minor - self.discount_minor + added


def number_lines(lines: Iterable[OrderLine]) -> tuple[OrderLine, ...]:
    """Return the lines, with the position as the `line_id` of each that has none: 1, 2, 3, …."""
    return tuple(
        line if line.line_id else line.model_copy(update={"line_id": str(position)})
        for position, line in enumerate(lines, start=1)
    )


def sum_totals(lines: Iterable[OrderLine], adjustments: Iterable[Adjustment]) -> OrderTotals:
    """Return the breakdown of the order's total; zero without lines and adjustments."""
    sums = dict.fromkeys(AdjustmentKind, 0)
    for adjustment in adjustments:
        sums[adjustment.kind] += adjustment.amount_minor
    subtotal = 0
    for line in lines:
        subtotal += line.quantity * line.unit_price_minor
        sums[AdjustmentKind.DISCOUNT] += line.discount_minor
        sums[AdjustmentKind.TAX] += line.tax_minor
    return OrderTotals(
        subtotal_minor=subtotal,
        discount_minor=sums[AdjustmentKind.DISCOUNT],
        shipping_minor=sums[AdjustmentKind.SHIPPING],
        tax_minor=sums[AdjustmentKind.TAX],
        fee_minor=sums[AdjustmentKind.FEE],
    )
