"""Request and response models of placing, listing and reading orders."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.config import JsonDict

from fuze_contracts.money import MAX_AMOUNT_MINOR
from fuze_contracts.order import EventType, OrderStatus, PaymentStatus
from fuze_gateway.orders.order_search import OrderFilter, Sort
from fuze_gateway.orders.schemas.addresses import (
    EXAMPLE_ADDRESS,
    Address,
    AddressRequest,
    CompleteAddressRequest,
)
from fuze_gateway.types import (
    EXAMPLE_ORDER_ID,
    ActorName,
    Currency,
    Name,
    OrderId,
    RequestModel,
    ShortText,
    Text,
    UtcDateTime,
)

_SUMMARY: JsonDict = {
    "order_id": EXAMPLE_ORDER_ID,
    "status": "shipped",
    "payment_status": "charged",
    "reason": None,
    "customer": "ada@example.com",
    "currency": "USD",
    "total_minor": 5997,
    "tracking_number": "FZ0123456789",
    "needs_attention": False,
    "workflow_missing_at": None,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:02:00Z",
}
_EVENT: JsonDict = {
    "seq": 3,
    "type": "order_approved",
    "status": "approved",
    "payment_status": "pending",
    "actor": "grace",
    "details": {},
    "occurred_at": "2026-01-05T10:01:00Z",
}
_WAITING_STATUS = {
    "approval": OrderStatus.AWAITING_APPROVAL,
    "payment_method": OrderStatus.AWAITING_PAYMENT_METHOD,
    "address": OrderStatus.AWAITING_ADDRESS,
}


def example(**fields: JsonValue) -> ConfigDict:
    """Return the model configuration with one example for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class OrderLineRequest(RequestModel):
    """A quantity of one article, and its unit price in minor units (cents, yen)."""

    sku: Annotated[ShortText, Field(min_length=1)]
    quantity: int = Field(ge=1, le=1_000_000)
    unit_price_minor: int = Field(ge=0, le=10**12)


class PlaceOrderRequest(RequestModel):
    """An order to place. By default, only the postal code of its address is required."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"address": {"zip_code": "10001"}},
                {
                    "customer": "ada@example.com",
                    "lines": [{"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999}],
                    "currency": "USD",
                    "payment_method": "pm_card_visa",
                    "address": EXAMPLE_ADDRESS,
                },
            ]
        }
    )

    address: AddressRequest
    billing_address: CompleteAddressRequest | None = Field(
        None, description="The address of whoever pays, for the invoice; nothing is shipped to it."
    )
    customer: ActorName | None = None
    lines: list[OrderLineRequest] = Field([], max_length=200)
    currency: Currency = "USD"
    payment_method: Name | None = Field(
        None, description="The payment provider's id of the payment method."
    )
    payment_token: Name | None = Field(
        None,
        description="Identifies the order's first charge; derived from the order id if absent.",
    )

    @model_validator(mode="after")
    def _limit_total(self) -> Self:
        if sum(line.quantity * line.unit_price_minor for line in self.lines) > MAX_AMOUNT_MINOR:
            raise ValueError(f"the total must not exceed {MAX_AMOUNT_MINOR} minor units")
        return self


class StartOrderRequest(PlaceOrderRequest):
    """An order to place under an id that the caller chose."""

    order_id: OrderId | None = Field(None, description="Must equal the id in the path, if present.")


class OrderAcceptedResponse(BaseModel):
    """The order was accepted and will be processed. A repeated request has the same response."""

    model_config = example(
        order_id=EXAMPLE_ORDER_ID,
        workflow_id=f"order/{EXAMPLE_ORDER_ID}",
        status="received",
        status_url=f"/orders/{EXAMPLE_ORDER_ID}/status",
    )

    order_id: UUID
    workflow_id: str
    status: Literal["received"] = "received"
    status_url: str


class ListOrdersRequest(RequestModel):
    """The filters, the sort order and the page of a list of orders."""

    model_config = ConfigDict(strict=False)

    status: list[OrderStatus] = Field([], max_length=len(OrderStatus), examples=[["shipped"]])
    waiting_for: Literal["approval", "payment_method", "address"] | None = Field(
        None, description="Orders that are waiting for this input."
    )
    needs_attention: bool | None = Field(
        None, description="Orders with a failing step (true), or without one (false)."
    )
    customer: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Orders of this customer.", examples=["ada@example.com"]
    )
    created_from: UtcDateTime | None = Field(
        None, description="Orders created at or after this time (RFC 3339, with an offset)."
    )
    created_before: UtcDateTime | None = Field(
        None, description="Orders created before this time (RFC 3339, with an offset)."
    )
    q: Annotated[Text, Field(min_length=3, max_length=200)] | None = Field(
        None,
        description="Orders whose customer or id starts with this text, ignoring case.",
        examples=["ada"],
    )
    sort: Sort = Field("-created_at", description="Newest first, or oldest first.")
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(
        None, max_length=500, description="`next` of the previous page, with the same filters."
    )

    def to_filter(self, owner: str | None) -> OrderFilter:
        """Return the filter, which is the same for every page; `owner` is None for every order."""
        waiting = {_WAITING_STATUS[self.waiting_for]} if self.waiting_for else set()
        return OrderFilter(
            statuses=tuple(sorted(waiting or set(self.status))),
            customer=self.customer,
            created_from=self.created_from,
            created_before=self.created_before,
            needs_attention=self.needs_attention,
            text=self.q,
            owner=owner,
            sort=self.sort,
        )

    @property
    def is_contradictory(self) -> bool:
        """Whether no order can match both `status` and `waiting_for`."""
        waiting = self.waiting_for and _WAITING_STATUS[self.waiting_for]
        return bool(self.status and waiting and waiting not in self.status)


class OrderSummary(BaseModel):
    """An order in a list. Amounts are in minor units."""

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    reason: str | None
    customer: str | None
    currency: str
    total_minor: int
    tracking_number: str | None
    needs_attention: bool
    workflow_missing_at: datetime | None = Field(
        description="When it was noticed that the open order has no workflow; see recoverOrder."
    )
    created_at: datetime
    updated_at: datetime


class ListOrdersResponse(BaseModel):
    """A page of orders. `next` is the cursor of the next page, null on the last."""

    model_config = example(orders=[_SUMMARY], next="WyIyMDI2LTAxLTA1VDEwOjAw")

    orders: list[OrderSummary]
    next: str | None


class OrderLine(BaseModel):
    """A quantity of one article, and its unit price in minor units."""

    sku: str
    quantity: int
    unit_price_minor: int


class Order(OrderSummary):
    """An order. Its events and payments are at their own URLs."""

    model_config = example(
        **_SUMMARY,
        payment_method="pm_card_visa",
        address=EXAMPLE_ADDRESS,
        billing_address=None,
        lines=[{"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999}],
        last_seq=6,
        status_url=f"/orders/{EXAMPLE_ORDER_ID}/status",
        events_url=f"/orders/{EXAMPLE_ORDER_ID}/events",
        payments_url=f"/orders/{EXAMPLE_ORDER_ID}/payments",
    )

    payment_method: str | None
    address: Address
    billing_address: Address | None
    lines: list[OrderLine]
    last_seq: int
    status_url: str
    events_url: str
    payments_url: str

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Build the response of a row: the columns of `PublishedOrderWithLines`."""
        base = f"/orders/{row['order_id']}"
        urls = {
            "status_url": f"{base}/status",
            "events_url": f"{base}/events",
            "payments_url": f"{base}/payments",
        }
        names = ("address", "billing_address")
        addresses = {name: row[name] and Address.from_row(row[name]) for name in names}
        return cls.model_validate(row | urls | addresses)


class Event(BaseModel):
    """An event of the order, and the status that it led to."""

    seq: int
    type: EventType
    status: OrderStatus
    payment_status: PaymentStatus
    actor: str
    details: dict[str, Any]
    occurred_at: datetime


class ListEventsResponse(BaseModel):
    """The events of the order, oldest first."""

    model_config = example(order_id=EXAMPLE_ORDER_ID, events=[_EVENT])

    order_id: UUID
    events: list[Event]
