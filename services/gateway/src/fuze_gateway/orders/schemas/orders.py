"""Request and response models of placing, listing and reading orders."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.config import JsonDict

from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_gateway.orders.order_search import OrderFilter, Sort
from fuze_gateway.orders.schemas.addresses import (
    EXAMPLE_ADDRESS,
    Address,
    AddressRequest,
    CompleteAddressRequest,
)
from fuze_gateway.orders.schemas.order_lines import (
    ADJUSTMENT_EXAMPLE,
    LINE_EXAMPLE,
    TOTALS_EXAMPLE,
    Adjustment,
    AdjustmentRequest,
    Amount,
    OrderLine,
    OrderLineRequest,
    OrderTotals,
)
from fuze_gateway.types import (
    EXAMPLE_ORDER_ID,
    ActorName,
    Currency,
    Email,
    Metadata,
    Name,
    OrderId,
    RequestModel,
    Text,
    UtcDateTime,
)

_SUMMARY: JsonDict = {
    "order_id": EXAMPLE_ORDER_ID,
    "status": "shipped",
    "payment_status": "charged",
    "reason": None,
    "customer": "cus_1815",
    "customer_email": "ada@example.com",
    "customer_name": "Ada Lovelace",
    "reference": "WEB-2026-0042",
    "currency": "USD",
    **TOTALS_EXAMPLE,
    "tracking_number": "FZ0123456789",
    "needs_attention": False,
    "workflow_missing_at": None,
    "workflow_failing_since": None,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:02:00Z",
}
EVENT_EXAMPLE: JsonDict = {
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


class PlaceOrderRequest(RequestModel):
    """An order to place. An order that is shipped needs the postal code of its address, at least.

    Amounts are in minor units of the currency (cents, yen). The total is the sum of the lines and
    the adjustments, between 0 and 10^15.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"address": {"zip_code": "10001"}},
                {
                    "reference": "WEB-2026-0042",
                    "customer": "cus_1815",
                    "customer_email": "ada@example.com",
                    "customer_name": "Ada Lovelace",
                    "lines": [LINE_EXAMPLE],
                    "adjustments": [ADJUSTMENT_EXAMPLE],
                    "total_minor": 5996,
                    "currency": "USD",
                    "payment_method": "pm_card_visa",
                    "address": EXAMPLE_ADDRESS,
                    "metadata": {"po_number": "PO-1"},
                },
                {
                    "lines": [
                        {
                            "sku": "EBOOK",
                            "quantity": 1,
                            "unit_price_minor": 999,
                            "requires_shipping": False,
                        }
                    ],
                    "payment_method": "pm_card_visa",
                },
            ]
        }
    )

    address: AddressRequest | None = Field(
        None, description="Required unless no line requires shipping."
    )
    billing_address: CompleteAddressRequest | None = Field(
        None, description="The address of the payer, for the invoice; nothing is shipped to it."
    )
    reference: Name | None = Field(None, description="Your own number of the order.")
    customer: ActorName | None = Field(None, description="Your own id of the customer.")
    customer_email: Email | None = None
    customer_name: Name | None = None
    lines: list[OrderLineRequest] = Field([], max_length=200)
    adjustments: list[AdjustmentRequest] = Field(
        [], max_length=100, description="Discounts, shipping, taxes and fees of the whole order."
    )
    total_minor: Amount | None = Field(
        None, description="What you expect the order to cost. A difference is an error."
    )
    currency: Currency = "USD"
    payment_method: Name | None = Field(
        None,
        description="The payment provider's id of the payment method. Required unless the order is"
        " free.",
    )
    metadata: Metadata = Field(
        {},
        description="Your own data: up to 50 keys of up to 40 characters, with values of up to 500"
        " characters.",
    )
    payment_token: Name | None = Field(
        None,
        description="Identifies the order's first charge; derived from the order id if absent.",
    )


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
        None, description="Orders of this customer.", examples=["cus_1815"]
    )
    reference: Annotated[Text, Field(min_length=1, max_length=200)] | None = Field(
        None, description="Orders with this number of yours.", examples=["WEB-2026-0042"]
    )
    created_from: UtcDateTime | None = Field(
        None, description="Orders created at or after this time (RFC 3339, with an offset)."
    )
    created_before: UtcDateTime | None = Field(
        None, description="Orders created before this time (RFC 3339, with an offset)."
    )
    updated_from: UtcDateTime | None = Field(
        None, description="Orders updated at or after this time (RFC 3339, with an offset)."
    )
    updated_before: UtcDateTime | None = Field(
        None, description="Orders updated before this time (RFC 3339, with an offset)."
    )
    q: Annotated[Text, Field(min_length=3, max_length=200)] | None = Field(
        None,
        description="Orders whose customer or id starts with this text, ignoring case.",
        examples=["ada"],
    )
    sort: Sort = Field(
        "-created_at",
        description="By creation or by last update; `-` means newest first. An order that is"
        " updated while pages are read moves to the newest end: `updated_at` skips none.",
    )
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
            reference=self.reference,
            created_from=self.created_from,
            created_before=self.created_before,
            updated_from=self.updated_from,
            updated_before=self.updated_before,
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


class OrderSummary(OrderTotals):
    """An order in a list. Amounts are in minor units."""

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    reason: str | None
    reference: str | None
    customer: str | None
    customer_email: str | None
    customer_name: str | None
    currency: str
    tracking_number: str | None
    needs_attention: bool
    workflow_missing_at: datetime | None = Field(
        description="When it was noticed that the open order has no workflow; see recoverOrder."
    )
    workflow_failing_since: datetime | None = Field(
        description="When it was noticed that a workflow task of the order fails; `/status` says"
        " why."
    )
    created_at: datetime
    updated_at: datetime


class ListOrdersResponse(BaseModel):
    """A page of orders. `next` is the cursor of the next page, null on the last."""

    model_config = example(orders=[_SUMMARY], next="WyIyMDI2LTAxLTA1VDEwOjAw")

    orders: list[OrderSummary]
    next: str | None


class Order(OrderSummary):
    """An order. Its events, payments and returns are at their own URLs."""

    model_config = example(
        **_SUMMARY,
        payment_method="pm_card_visa",
        address=EXAMPLE_ADDRESS,
        billing_address=None,
        lines=[LINE_EXAMPLE | {"total_minor": 5497}],
        adjustments=[ADJUSTMENT_EXAMPLE],
        metadata={"po_number": "PO-1"},
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        last_seq=6,
        status_url=f"/orders/{EXAMPLE_ORDER_ID}/status",
        events_url=f"/orders/{EXAMPLE_ORDER_ID}/events",
        payments_url=f"/orders/{EXAMPLE_ORDER_ID}/payments",
        returns_url=f"/orders/{EXAMPLE_ORDER_ID}/returns",
    )

    payment_method: str | None
    address: Address | None
    billing_address: Address | None
    lines: list[OrderLine]
    adjustments: list[Adjustment]
    metadata: dict[str, str]
    trace_id: str | None = Field(
        description="The trace of the request that placed the order; null unless spans are"
        " exported."
    )
    last_seq: int
    status_url: str
    events_url: str
    payments_url: str
    returns_url: str

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Build the response of a row: the columns of `PublishedOrderWithLines`."""
        base = f"/orders/{row['order_id']}"
        urls = {
            "status_url": f"{base}/status",
            "events_url": f"{base}/events",
            "payments_url": f"{base}/payments",
            "returns_url": f"{base}/returns",
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

    model_config = example(order_id=EXAMPLE_ORDER_ID, events=[EVENT_EXAMPLE])

    order_id: UUID
    events: list[Event]
