"""What callers send, as JSON."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from fuze_contracts.money import MAX_AMOUNT_MINOR
from fuze_gateway.fields import (
    EXAMPLE_ORDER_ID,
    Country,
    Currency,
    LongText,
    Name,
    OrderId,
    ShortText,
)

_ADDRESS: JsonDict = {
    "name": "Ada Lovelace",
    "line1": "12 Elm Street",
    "city": "New York",
    "region": "NY",
    "zip_code": "10001",
    "country": "US",
}


class RequestModel(BaseModel):
    """Strict on purpose: a caller should hear of a field that we do not know."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AddressIn(RequestModel):
    """Where the parcel goes. Whether the zip code is one of the country is the order's business."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ADDRESS]})

    zip_code: Annotated[ShortText, Field(description="Judged by the order, not by this API.")]
    country: Country = "US"
    name: LongText | None = None
    line1: LongText | None = None
    line2: LongText | None = None
    city: LongText | None = None
    region: LongText | None = None


class LineIn(RequestModel):
    """So many of one article, each at `unit_price` minor units (cents, yen) of the currency."""

    sku: Annotated[ShortText, Field(min_length=1)]
    quantity: int = Field(ge=1, le=1_000_000)
    unit_price: int = Field(ge=0, le=10**12)


class PlaceOrderIn(RequestModel):
    """An order to place. Only the address's zip code must be given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"address": {"zip_code": "10001"}},
                {
                    "customer": "ada@example.com",
                    "lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price": 1999}],
                    "currency": "USD",
                    "payment_method": "pm_card_visa",
                    "address": _ADDRESS,
                },
            ]
        }
    )

    address: AddressIn
    customer: Name | None = None
    lines: Annotated[list[LineIn], Field(max_length=200)] = []
    currency: Currency = "USD"
    payment_method: Name | None = Field(None, description="The payment provider's name for it.")
    payment_token: Name | None = Field(
        None, description="Names this attempt to charge; derived from the order id without one."
    )

    @model_validator(mode="after")
    def _bound_total(self) -> Self:
        if sum(line.quantity * line.unit_price for line in self.lines) > MAX_AMOUNT_MINOR:
            raise ValueError(f"the total must not pass {MAX_AMOUNT_MINOR} minor units")
        return self


class StartOrder(PlaceOrderIn):
    """An order to place under an id of the caller's own."""

    order_id: OrderId | None = Field(None, description="If given, the one in the path.")


Actor = Annotated[
    Name | None,
    Field(
        description="Whom the caller acts for; goes into the events beside the caller's own name.",
        examples=["grace"],
    ),
]


class ApproveOrderBody(RequestModel):
    """Who lets the order proceed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"actor": "grace"}]})

    actor: Actor = None


class RejectOrderIn(RequestModel):
    """Who does not approve of the order, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"actor": "grace", "reason": "out of stock"}]}
    )

    actor: Actor = None
    reason: LongText | None = Field(None, examples=["changed my mind"])


class RetryIn(RequestModel):
    """Who has the step that needs attention tried now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"actor": "grace"}]})

    actor: Actor = None


class CancelOrderIn(RequestModel):
    """Who wants the order stopped, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"actor": "ada", "reason": "changed my mind"}]}
    )

    actor: Actor = None
    reason: LongText | None = Field(None, examples=["changed my mind"])


class ChangeAddressIn(RequestModel):
    """Where the parcel shall go instead."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"address": {"zip_code": "94105"}, "actor": "ada"}]}
    )

    address: AddressIn
    actor: Actor = None


class PaymentMethodIn(RequestModel):
    """Another way to pay, the payment provider's name for it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"payment_method": "pm_card_visa"}]})

    payment_method: Name
    actor: Actor = None


def _each_once(order_ids: list[UUID]) -> list[UUID]:
    if len(set(order_ids)) < len(order_ids):
        raise ValueError("must name each order once")
    return order_ids


OrderIds = Annotated[
    list[OrderId],
    Field(min_length=1, max_length=500, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_each_once),
]


class BulkApprove(ApproveOrderBody):
    """Which orders to let proceed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"order_ids": [EXAMPLE_ORDER_ID], "actor": "grace"}]}
    )

    order_ids: OrderIds


class BulkCancel(CancelOrderIn):
    """Which orders to stop, and why."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"order_ids": [EXAMPLE_ORDER_ID], "reason": "the shop is closed"}]
        }
    )

    order_ids: OrderIds
