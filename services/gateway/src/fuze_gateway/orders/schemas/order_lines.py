"""Request and response models of what an order costs. A field has one name and unit in both."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, computed_field
from pydantic.config import JsonDict

from fuze_contracts import order_lines as contract
from fuze_contracts.money import MAX_AMOUNT_MINOR
from fuze_contracts.order_lines import AdjustmentKind
from fuze_gateway.types import RequestModel, ShortText, Text

LINE_EXAMPLE: JsonDict = {
    "line_id": "1",
    "sku": "TEAPOT-1",
    "name": "Teapot, blue",
    "quantity": 3,
    "unit_price_minor": 1999,
    "discount_minor": 500,
    "tax_minor": 0,
    "requires_shipping": True,
}
ADJUSTMENT_EXAMPLE: JsonDict = {
    "kind": "shipping",
    "label": "Standard shipping",
    "amount_minor": 499,
}
TOTALS_EXAMPLE: JsonDict = {
    "subtotal_minor": 5997,
    "discount_minor": 500,
    "shipping_minor": 499,
    "tax_minor": 0,
    "fee_minor": 0,
    "total_minor": 5996,
}


def _require_whole_number(value: Any) -> Any:  # noqa: ANN401 - unvalidated input
    """Reject a fraction with what to do instead.

    Raises:
        ValueError: the value is a number with a fraction.

    """
    if isinstance(value, float):
        raise ValueError(  # noqa: TRY004 - pydantic reports a ValueError of the field
            "must be a whole number; count what is measured in a smaller unit, such as 150 cm at"
            " the price of 1 cm instead of 1.5 m"
        )
    return value


Label = Annotated[Text, Field(min_length=1, max_length=255)]
Amount = Annotated[int, Field(ge=0, le=MAX_AMOUNT_MINOR)]


class OrderLineRequest(RequestModel):
    """A quantity of one article. The same `sku` may be on several lines.

    The line costs quantity times unit price, less its discount, plus its tax; never less than zero.
    """

    sku: Annotated[ShortText, Field(min_length=1)]
    quantity: Annotated[int, Field(ge=1, le=1_000_000), BeforeValidator(_require_whole_number)]
    unit_price_minor: int = Field(ge=0, le=10**12, description="The price of one unit.")
    line_id: Annotated[ShortText, Field(min_length=1)] | None = Field(
        None, description="Unique in the order; the line's position (1, 2, 3, …) if absent."
    )
    name: Label | None = Field(None, description="The name of the article, for people.")
    discount_minor: Amount = Field(0, description="Subtracted from the line's amount.")
    tax_minor: Amount = Field(0, description="Added to the line's amount.")
    requires_shipping: bool = Field(
        True,
        description="Whether it is sent in a parcel. An order without such a line needs no address"
        " and is completed once it is paid.",
    )

    def to_message(self) -> contract.OrderLine:
        """Return the line as the order's workflow receives it."""
        return contract.OrderLine.model_validate(self.model_dump(exclude_none=True))


class AdjustmentRequest(RequestModel):
    """A discount, shipping, a tax or a fee of the whole order."""

    kind: Annotated[AdjustmentKind, Field(strict=False)]
    label: Label
    amount_minor: Amount = Field(
        description="Added to the order's total; a discount is subtracted, and positive, too."
    )

    def to_message(self) -> contract.Adjustment:
        """Return the adjustment as the order's workflow receives it."""
        return contract.Adjustment.model_validate(self.model_dump())


class OrderLine(BaseModel):
    """A quantity of one article, and what it costs in minor units."""

    line_id: str
    sku: str
    name: str | None
    quantity: int
    unit_price_minor: int
    discount_minor: int
    tax_minor: int
    requires_shipping: bool

    @computed_field(description="Quantity times unit price, less the discount, plus the tax.")  # type: ignore[prop-decorator] # as pydantic documents it
    @property
    def total_minor(self) -> int:
        """Return what the line costs."""
        return self.quantity * self.unit_price_minor - self.discount_minor + self.tax_minor


class Adjustment(BaseModel):
    """A discount, shipping, a tax or a fee of the whole order, in minor units."""

    kind: AdjustmentKind
    label: str
    amount_minor: int


class OrderTotals(BaseModel):
    """The breakdown of an order's total, in minor units.

    The total is the subtotal less the discounts, plus shipping, taxes and fees.
    """

    subtotal_minor: int = Field(description="The sum of quantity times unit price.")
    discount_minor: int = Field(description="The discounts of the lines and of the order.")
    shipping_minor: int
    tax_minor: int = Field(description="The taxes of the lines and of the order.")
    fee_minor: int
    total_minor: int
