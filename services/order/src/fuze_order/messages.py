"""What OrderWorkflow says to the activities of its own service.

They never leave the service, but they lie in workflow histories, so they are kept as any message
is: a field is only ever added, with a default.
"""

from datetime import datetime
from enum import Enum, auto
from typing import Any
from uuid import UUID

from pydantic import Field, JsonValue, model_validator

from fuze_contracts.base import Message
from fuze_contracts.order import EventType, OrderStatus, PaymentStatus, PlaceOrder
from fuze_contracts.shipping import Address


class Receipt(Enum):
    """What became of an order that was to be written."""

    WRITTEN = auto()
    """It is there, from this call or an earlier one."""
    ID_TAKEN = auto()
    """Another workflow wrote an order of this id."""
    REFUSED = auto()
    """PostgreSQL cannot hold its values: it did not come through the gateway's checks."""


class ReceiveOrder(Message):
    """Write a new order and its first event.

    `run_id` is the first run of the order's workflow: it tells a retry from another order of the
    same id, and stays the same when the workflow is reset.
    """

    order: PlaceOrder
    run_id: str
    occurred_at: datetime


class ValidateOrder(Message):
    """Check a received order against the rules; `seq` is the number of the event that says so."""

    order: PlaceOrder
    seq: int
    occurred_at: datetime


class Transition(Message):
    """One event, and what the order's row is after it.

    `seq` counts an order's events 1, 2, 3, …; the workflow gives it, so that a retry writes
    nothing twice. `needs_attention` says whether somebody should look at the order. `reason` is why
    the order is where it is; of the fields after it, one that is None leaves its column as it was.
    Text is stored without NUL, which PostgreSQL cannot hold: a signal that carries one must not
    stop an order.
    """

    order_id: UUID
    seq: int
    type: EventType
    status: OrderStatus
    payment_status: PaymentStatus
    actor: str
    occurred_at: datetime
    reason: str | None = None
    address: Address | None = None
    tracking_number: str | None = None
    payment_method: str | None = None
    payment_token: str | None = None
    tracking_deadline: datetime | None = None
    needs_attention: bool = False
    details: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _without_nul(cls, data: Any) -> Any:  # noqa: ANN401 - whatever a caller passes
        return _replace_nul(data)


def _replace_nul(part: Any) -> Any:  # noqa: ANN401 - any part of a message
    match part:
        case str() if "\0" in part:
            return part.replace("\0", "\ufffd")
        case dict():
            return {name: _replace_nul(value) for name, value in part.items()}
        case list() | tuple():
            return [_replace_nul(one) for one in part]
        case Address():
            return _replace_nul(part.model_dump())
        case _:
            return part
