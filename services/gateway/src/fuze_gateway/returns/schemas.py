"""Request and response models of returns. Amounts are in minor units."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field
from pydantic.config import JsonDict

from fuze_contracts.returns import ReturnStatus
from fuze_gateway.orders.schemas.commands import CommandRequest
from fuze_gateway.orders.schemas.orders import example
from fuze_gateway.types import (
    EXAMPLE_ORDER_ID,
    EXAMPLE_RETURN_ID,
    LongText,
    RequestModel,
    ShortText,
)

_RETURN: JsonDict = {
    "return_id": EXAMPLE_RETURN_ID,
    "order_id": EXAMPLE_ORDER_ID,
    "status": "refunded",
    "lines": [{"line_id": "1", "quantity": 2}],
    "include_shipping": False,
    "reason": "does not fit",
    "actor": "ada via shop",
    "amount_minor": 3998,
    "currency": "USD",
    "refund_code": None,
    "created_at": "2026-01-09T08:00:00Z",
    "updated_at": "2026-01-12T09:30:00Z",
}
_RETURN_URL = f"/orders/{EXAMPLE_ORDER_ID}/returns/{EXAMPLE_RETURN_ID}"


class ReturnLineRequest(RequestModel):
    """A quantity of one line."""

    line_id: Annotated[
        ShortText, Field(min_length=1, description="The `line_id` of the order's line.")
    ]
    quantity: int = Field(ge=1, le=1_000_000)


def _reject_duplicates(lines: list[ReturnLineRequest]) -> list[ReturnLineRequest]:
    if len({line.line_id for line in lines}) < len(lines):
        raise ValueError("send each line_id once")
    return lines


class RequestReturnRequest(CommandRequest):
    """What the customer sends back."""

    model_config = example(lines=[{"line_id": "1", "quantity": 2}], reason="does not fit")

    lines: Annotated[
        list[ReturnLineRequest],
        Field(min_length=1, max_length=200),
        AfterValidator(_reject_duplicates),
    ]
    include_shipping: bool = Field(default=False, description="Refund the shipping costs, too.")
    reason: Annotated[LongText, Field(min_length=1)] | None = None


class ChangeReturnRequest(CommandRequest):
    """A decision about a return, or the receipt of its goods."""

    model_config = example(actor="grace", reason="unused")

    reason: Annotated[LongText, Field(min_length=1)] | None = None


class ReturnRequestedResponse(BaseModel):
    """The return is stored. A repeated request has the same response."""

    model_config = example(
        order_id=EXAMPLE_ORDER_ID, return_id=EXAMPLE_RETURN_ID, return_url=_RETURN_URL
    )

    order_id: UUID
    return_id: UUID
    return_url: str


class ChangeReturnResponse(ReturnRequestedResponse):
    """The return after the change."""

    model_config = example(
        order_id=EXAMPLE_ORDER_ID,
        return_id=EXAMPLE_RETURN_ID,
        return_url=_RETURN_URL,
        status="received",
    )

    status: ReturnStatus


class ReturnLine(BaseModel):
    """A quantity of one line."""

    line_id: str
    quantity: int


class Return(BaseModel):
    """A return in any status. `amount_minor` is what was refunded, null before.

    `reason` and `actor` are those of the request; the order's events have those of each change.
    `refund_code` says why the refund failed.
    """

    model_config = example(**_RETURN)

    return_id: UUID
    order_id: UUID
    status: ReturnStatus
    lines: list[ReturnLine]
    include_shipping: bool
    reason: str | None
    actor: str
    amount_minor: int | None
    currency: str
    refund_code: str | None
    created_at: datetime
    updated_at: datetime


class ListReturnsResponse(BaseModel):
    """The returns of the order, oldest first."""

    model_config = example(order_id=EXAMPLE_ORDER_ID, returns=[_RETURN])

    order_id: UUID
    returns: list[Return]


class ListOpenReturnsResponse(BaseModel):
    """The returns that wait for a decision, for their goods or for a refund, oldest first."""

    model_config = example(returns=[_RETURN | {"status": "requested", "amount_minor": None}])

    returns: list[Return]
