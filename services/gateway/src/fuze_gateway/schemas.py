"""What callers are told, as JSON."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.config import JsonDict

from fuze_contracts.order import EventType, OrderStatus, PaymentStatus, WaitingFor
from fuze_gateway.fields import EXAMPLE_ORDER_ID

_ADDRESS: JsonDict = {"zip_code": "10001", "country": "US", "name": "Ada Lovelace"}
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
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:02:00Z",
}
_STATE: JsonDict = {
    "order_id": EXAMPLE_ORDER_ID,
    "status": "approved",
    "payment_status": "pending",
    "last_seq": 3,
    "reason": None,
    "tracking_number": None,
    "needs_attention": False,
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


def _example(**fields: JsonValue) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class OrderAccepted(BaseModel):
    """The request is accepted; the same for a repeat. Where the order stands is at `status_url`."""

    model_config = _example(
        order_id=EXAMPLE_ORDER_ID,
        workflow_id=f"order/{EXAMPLE_ORDER_ID}",
        status="received",
        status_url=f"/orders/{EXAMPLE_ORDER_ID}/status",
    )

    order_id: UUID
    workflow_id: str
    status: Literal["received"] = "received"
    status_url: str


class SignalAccepted(BaseModel):
    """The order will hear of it. What it made of it is in its status and its events."""

    model_config = _example(
        order_id=EXAMPLE_ORDER_ID,
        accepted=True,
        signal="approve",
        status_url=f"/orders/{EXAMPLE_ORDER_ID}/status",
    )

    order_id: UUID
    accepted: Literal[True] = True
    signal: Literal["approve", "cancel", "change-address"]
    status_url: str


class OrderState(BaseModel):
    """Where the order stands now that it has decided."""

    model_config = _example(**_STATE)

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
    """A page of orders. `next` is the cursor of the one that follows, null on the last."""

    model_config = _example(orders=[_SUMMARY], next="WyIyMDI2LTAxLTA1VDEwOjAw")

    orders: list[OrderSummary]
    next: str | None


class Line(BaseModel):
    """So many of one article, each at `unit_price_minor`."""

    sku: str
    quantity: int
    unit_price_minor: int


class Order(OrderSummary):
    """All of an order, but for its events and its payments, which have addresses of their own."""

    model_config = _example(
        **_SUMMARY,
        payment_method="pm_card_visa",
        address=_ADDRESS,
        lines=[{"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999}],
        last_seq=6,
        status_url=f"/orders/{EXAMPLE_ORDER_ID}/status",
        events_url=f"/orders/{EXAMPLE_ORDER_ID}/events",
        payments_url=f"/orders/{EXAMPLE_ORDER_ID}/payments",
    )

    payment_method: str | None
    address: dict[str, Any]
    lines: list[Line]
    last_seq: int
    status_url: str
    events_url: str
    payments_url: str

    @classmethod
    def of(cls, row: dict[str, Any]) -> "Order":
        """Show an order as its row has it: the columns of `PublishedOrderWithLines`."""
        here = f"/orders/{row['order_id']}"
        urls = {
            "status_url": f"{here}/status",
            "events_url": f"{here}/events",
            "payments_url": f"{here}/payments",
        }
        return cls.model_validate(row | urls)


class ProblemSummary(BaseModel):
    """What became of one order among many, where it could not be what was asked."""

    type: str
    title: str
    status: int
    detail: str


class BulkResult(BaseModel):
    """What became of one order: its new state, or a problem."""

    order_id: UUID
    order: OrderState | None
    problem: ProblemSummary | None


class BulkResults(BaseModel):
    """What became of each order, as they were given."""

    model_config = _example(
        results=[{"order_id": EXAMPLE_ORDER_ID, "order": _STATE, "problem": None}],
        accepted=1,
        refused=0,
    )

    results: list[BulkResult]
    accepted: int
    refused: int


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

    model_config = _example(order_id=EXAMPLE_ORDER_ID, events=[_EVENT])

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
    status_since: datetime | None = None
    waiting_for: WaitingFor | None = None
    deadline: datetime | None = None
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

    model_config = _example(
        order_id=EXAMPLE_ORDER_ID,
        status="awaiting_approval",
        payment_status="none",
        waiting_for="approval",
        deadline="2026-01-12T10:00:00Z",
        needs_attention=False,
        durable=None,
        live={
            "execution": "running",
            "status": "awaiting_approval",
            "payment_status": "none",
            "last_seq": 2,
            "status_since": "2026-01-05T10:00:00Z",
            "waiting_for": "approval",
            "deadline": "2026-01-12T10:00:00Z",
        },
        missing={"durable": "database unavailable"},
    )

    order_id: UUID
    status: OrderStatus | None
    payment_status: PaymentStatus | None
    reason: str | None = None
    waiting_for: WaitingFor | None = Field(None, description="Whom the order waits for.")
    deadline: datetime | None = Field(None, description="When the wait ends.")
    tracking_number: str | None = None
    needs_attention: bool = Field(False, description="A step of it keeps failing.")
    durable: DurableOrder | None
    live: LiveOrder | None
    missing: dict[Literal["durable", "live"], DurableMissing | LiveMissing] = Field(
        description="Why a part is not there, or not whole.", examples=[{"live": "workflow closed"}]
    )


class Liveness(BaseModel):
    """The event loop turns."""

    model_config = _example(status="alive")

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether each of the gateway's two sources answers."""

    model_config = _example(status="ready", temporal="ok", postgresql="ok")

    status: Literal["ready"] = "ready"
    temporal: Literal["ok"] = "ok"
    postgresql: Literal["ok", "unavailable"]
