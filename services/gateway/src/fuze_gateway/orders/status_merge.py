"""Merge of an order's durable and live status. Pure: no clock, no I/O."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel

from fuze_contracts.base import Message
from fuze_contracts.order import OrderSnapshot
from fuze_contracts.order_states import OrderStatus, PaymentStatus
from fuze_contracts.read_models import PublishedEvent, PublishedOrder
from fuze_gateway.orders.schemas.addresses import Address
from fuze_gateway.orders.schemas.orders import Event
from fuze_gateway.orders.schemas.status import (
    DurableOrder,
    DurableUnavailable,
    LiveOrder,
    LiveUnavailable,
    OrderStatusResponse,
)
from fuze_gateway.orders.workflow_queries import WorkflowSnapshot, first_line

ResponseModel = TypeVar("ResponseModel", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class DurablePart:
    """The order's row and last event, or the reason why they are absent."""

    row: tuple[PublishedOrder, PublishedEvent] | None = None
    unavailable: DurableUnavailable | None = None

    def is_closed(self, now: datetime) -> bool:
        """Return whether the row is final, so that the workflow has nothing to add."""
        return self.row is not None and self.row[0].is_closed(now)

    @property
    def is_unknown(self) -> bool:
        """Whether PostgreSQL could not be read. The order may have a row."""
        return self.row is None and self.unavailable is not DurableUnavailable.NOT_RECORDED


@dataclass(frozen=True, kw_only=True)
class LivePart:
    """The order's workflow, or the reason why it is absent or incomplete."""

    snapshot: WorkflowSnapshot | None = None
    unavailable: LiveUnavailable | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether Temporal could not be read. The order may have a workflow."""
        return self.snapshot is None and self.unavailable not in {
            LiveUnavailable.WORKFLOW_NOT_FOUND,
            LiveUnavailable.WORKFLOW_CLOSED,
        }


NoStatus = Literal["not found", "unavailable"]
"""Neither part has the order, or the part that may have it could not be read."""


def merge(order_id: UUID, durable: DurablePart, live: LivePart) -> OrderStatusResponse | NoStatus:
    """Return the order's status, or why it is not known.

    - The part with the higher `last_seq` is the source. On a tie it is the row if the order has
      ended, because its workflow is about to close; otherwise the workflow, which also knows what
      the order waits for.
    - An order with a running workflow and no row is `received`: Temporal's acknowledgement is the
      acceptance, and the row follows.
    - "not found" requires that both parts could be read: PostgreSQL has orders that Temporal no
      longer retains, and Temporal has orders that PostgreSQL does not have yet.
    """
    row = durable.row[0] if durable.row else None
    snapshot = live.snapshot.order if live.snapshot else None
    source = _newer(row, snapshot)
    if source is None:
        if durable.is_unknown or live.is_unknown:
            return "unavailable"
        if live.snapshot is None:
            return "not found"
    status, payment_status = _effective_status(source, live)
    wait = source if isinstance(source, OrderSnapshot) else None
    return OrderStatusResponse(
        order_id=order_id,
        status=status,
        payment_status=payment_status,
        reason=source.reason if source else None,
        tracking_number=source.tracking_number if source else None,
        waiting_for=wait.waiting_for if wait else None,
        deadline=wait.deadline if wait else None,
        needs_attention=source.needs_attention if source else False,
        durable=_to_durable_order(*durable.row) if durable.row else None,
        live=_to_live_order(live.snapshot) if live.snapshot else None,
        unavailable=_unavailable_parts(durable, live),
    )


def to_event(event: PublishedEvent) -> Event:
    """Return the response model of a published event."""
    return _copy(event, Event)


def _newer(
    row: PublishedOrder | None, snapshot: OrderSnapshot | None
) -> PublishedOrder | OrderSnapshot | None:
    if row is None or snapshot is None:
        return row or snapshot
    if row.last_seq == snapshot.last_seq:
        return row if row.status.is_terminal and not snapshot.waiting_for else snapshot
    return row if row.last_seq > snapshot.last_seq else snapshot


def _effective_status(
    source: PublishedOrder | OrderSnapshot | None, live: LivePart
) -> tuple[OrderStatus | None, PaymentStatus | None]:
    if source is not None:
        return source.status, source.payment_status
    if live.snapshot is not None and live.snapshot.is_open:
        return OrderStatus.RECEIVED, PaymentStatus.NONE
    return None, None


def _unavailable_parts(
    durable: DurablePart, live: LivePart
) -> dict[Literal["durable", "live"], DurableUnavailable | LiveUnavailable]:
    parts: dict[Literal["durable", "live"], DurableUnavailable | LiveUnavailable] = {}
    if durable.unavailable:
        parts["durable"] = durable.unavailable
    if live.unavailable:
        parts["live"] = live.unavailable
    return parts


def _to_durable_order(row: PublishedOrder, last_event: PublishedEvent) -> DurableOrder:
    address = row.address and Address.from_row(row.address)
    return _copy(row, DurableOrder, last_event=to_event(last_event), address=address)


def _copy(message: Message, model: type[ResponseModel], **more: Any) -> ResponseModel:  # noqa: ANN401 - fields of any type
    """Return a response model with the fields of a message, which are validated already."""
    names = model.model_fields
    fields: dict[str, Any] = {name: value for name, value in message if name in names}
    return model.model_construct(**(fields | more))


def _to_live_order(snapshot: WorkflowSnapshot) -> LiveOrder:
    order = snapshot.order
    fields = order.model_dump(exclude={"order_id", "last_error"}) if order else {}
    last_error = order.last_error if order else snapshot.last_error
    return LiveOrder(
        execution=snapshot.execution.name.lower(),
        pending_activities=list(snapshot.pending_activities),
        last_error=first_line(last_error) if last_error else None,
        **fields,
    )
