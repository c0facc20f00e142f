"""What callers send and what they are told, as JSON."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from fuze_contracts.money import MAX_AMOUNT_MINOR
from fuze_contracts.order import EventType, OrderStatus, PaymentStatus, WaitingFor
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


class StartOrder(RequestModel):
    """An order to place. Only the address's zip code must be given."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"order_id": EXAMPLE_ORDER_ID, "address": {"zip_code": "10001"}},
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

    order_id: OrderId | None = Field(None, description="If given, the one in the path.")
    address: AddressIn
    customer: Name | None = None
    lines: Annotated[list[LineIn], Field(max_length=200)] = []
    currency: Currency = "USD"
    payment_method: Name | None = Field(None, description="The payment provider's name for it.")
    payment_token: Name | None = Field(
        None, description="Names this attempt to charge; derived from the order id without one."
    )

    @model_validator(mode="after")
    def _bound_total(self) -> "StartOrder":
        if sum(line.quantity * line.unit_price for line in self.lines) > MAX_AMOUNT_MINOR:
            raise ValueError(f"the total must not pass {MAX_AMOUNT_MINOR} minor units")
        return self


class ApproveOrder(RequestModel):
    """Who lets the order proceed."""

    actor: Name = "unknown"


class RejectOrderIn(RequestModel):
    """Who does not approve of the order, and why."""

    actor: Name = "unknown"
    reason: LongText | None = None


class RetryIn(RequestModel):
    """Who has the step that needs attention tried now."""

    actor: Name = "unknown"


class CancelOrderIn(RequestModel):
    """Who wants the order stopped, and why."""

    actor: Name = "unknown"
    reason: LongText | None = None


class UpdateAddressIn(RequestModel):
    """Where the parcel shall go instead."""

    address: AddressIn
    actor: Name = "unknown"


class PaymentMethodIn(RequestModel):
    """Another way to pay, the payment provider's name for it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"payment_method": "pm_card_visa"}]})

    payment_method: Name
    actor: Name = "unknown"


class OrderAccepted(BaseModel):
    """The request is accepted; the same for a repeat. Where the order stands is at `status_url`."""

    order_id: UUID
    workflow_id: str
    status: Literal["received"] = "received"
    status_url: str


class SignalAccepted(BaseModel):
    """The order will hear of it. What it made of it is in its status and its events."""

    order_id: UUID
    accepted: Literal[True] = True
    signal: Literal["approve", "cancel", "update-address"]
    status_url: str


class OrderState(BaseModel):
    """Where the order stands now that it has decided."""

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    last_seq: int
    reason: str | None
    tracking_number: str | None
    needs_attention: bool


class OrderSummary(BaseModel):
    """One order among others. Money in minor units."""

    order_id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    reason: str | None
    customer: str | None
    currency: str
    total_minor: int
    tracking_number: str | None
    needs_attention: bool
    created_at: datetime
    updated_at: datetime


class Orders(BaseModel):
    """Orders, newest first."""

    orders: list[OrderSummary]


class Event(BaseModel):
    """One thing that happened to the order, and the status it led to."""

    seq: int
    type: EventType
    status: OrderStatus
    payment_status: PaymentStatus
    actor: str
    details: dict[str, Any]
    occurred_at: datetime


class Timeline(BaseModel):
    """Everything that happened to the order, oldest first."""

    order_id: UUID
    events: list[Event]


class DurableOrder(BaseModel):
    """The order as PostgreSQL holds it. Money in minor units."""

    status: OrderStatus
    payment_status: PaymentStatus
    reason: str | None
    tracking_number: str | None
    last_seq: int
    customer: str | None
    currency: str
    total_minor: int
    address: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    last_event: Event


Execution = Literal[
    "running",
    "completed",
    "failed",
    "canceled",
    "terminated",
    "continued_as_new",
    "timed_out",
]
"""Temporal's word for the state of a workflow."""


class PendingActivity(BaseModel):
    """A step that Temporal is trying to get done; `last_failure` is why it is not done yet."""

    name: str
    attempt: int
    last_failure: str | None = None
    next_attempt_at: datetime | None = None


class LiveOrder(BaseModel):
    """The order as its workflow sees it now.

    Without an answer from a worker only `execution` and `pending_activities` are known, and
    `status` is null.
    """

    execution: Execution
    pending_activities: list[PendingActivity] = []
    status: OrderStatus | None = None
    payment_status: PaymentStatus | None = None
    last_seq: int | None = None
    since: datetime | None = None
    waiting_for: WaitingFor | None = None
    until: datetime | None = None
    last_error: str | None = None
    reason: str | None = None
    tracking_number: str | None = None
    needs_attention: bool = False


DurableMissing = Literal["not recorded yet", "database unavailable", "timed out"]
LiveMissing = Literal[
    "workflow closed",
    "workflow not found",
    "no worker answered",
    "temporal unavailable",
    "timed out",
]


class OrderView(BaseModel):
    """Where an order stands, merged from its row and its workflow: the newer of the two speaks.

    `status` is null only when the workflow closed and left no record, which takes an operator.
    """

    order_id: UUID
    status: OrderStatus | None
    payment_status: PaymentStatus | None
    reason: str | None = None
    waiting_for: WaitingFor | None = Field(None, description="Whom the order waits for.")
    until: datetime | None = Field(None, description="Until when it waits.")
    tracking_number: str | None = None
    needs_attention: bool = Field(False, description="A step of it keeps failing.")
    durable: DurableOrder | None
    live: LiveOrder | None
    missing: dict[Literal["durable", "live"], DurableMissing | LiveMissing] = Field(
        description="Why a part is not there, or not whole.", examples=[{"live": "workflow closed"}]
    )


class Readiness(BaseModel):
    """Whether each of the gateway's two sources answers."""

    status: Literal["ready"] = "ready"
    temporal: Literal["ok"] = "ok"
    postgresql: Literal["ok", "unavailable"]
