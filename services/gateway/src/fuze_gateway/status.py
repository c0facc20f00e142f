"""The two accounts of one order, merged. Pure: no clock, no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel

from fuze_contracts.base import Message
from fuze_contracts.order import OrderSnapshot, OrderStatus, PaymentStatus
from fuze_contracts.read_models import PublishedEvent, PublishedOrder
from fuze_gateway.live import LiveAnswer, first_line
from fuze_gateway.schemas import (
    DurableMissing,
    DurableOrder,
    Event,
    LiveMissing,
    LiveOrder,
    OrderView,
)

Shown = TypeVar("Shown", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class DurablePart:
    """What PostgreSQL said: the order, or why not. `missing` is None with a row."""

    row: tuple[PublishedOrder, PublishedEvent] | None = None
    missing: DurableMissing | None = None

    def is_closed(self, now: datetime) -> bool:
        """Whether the row says all that there is to say."""
        return self.row is not None and self.row[0].is_closed(now)

    @property
    def is_away(self) -> bool:
        """Whether we could not ask, which is not the same as a no."""
        return self.row is None and self.missing != "not recorded yet"


@dataclass(frozen=True, kw_only=True)
class LivePart:
    """What Temporal said: the workflow, or why not. `missing` is None with a worker's answer."""

    answer: LiveAnswer | None = None
    missing: LiveMissing | None = None

    @property
    def is_away(self) -> bool:
        """Whether we could not ask, which is not the same as a no."""
        return self.answer is None and self.missing not in {"workflow not found", "workflow closed"}


Unknown = Literal["not found", "unavailable"]
"""Neither knows the order, or the one who might know cannot be asked."""


def merge(order_id: UUID, durable: DurablePart, live: LivePart) -> OrderView | Unknown:
    """Return where the order stands, or why that cannot be said.

    - The account with the higher `last_seq` speaks. On a tie the row speaks of an order that has
      ended, since its workflow is about to close, and the workflow of one that goes on or waits,
      since it also knows what for.
    - An order that Temporal runs and PostgreSQL has no row of is received: Temporal's
      acknowledgement is the acceptance, and the row follows.
    - Nobody is told "not found" while one of the two cannot be asked: PostgreSQL has orders that
      Temporal no longer keeps, Temporal has orders that PostgreSQL does not have yet.
    """
    row = durable.row[0] if durable.row else None
    told = live.answer.order if live.answer else None
    speaker = _newer(row, told)
    if speaker is None:
        if durable.is_away or live.is_away:
            return "unavailable"
        if live.answer is None:
            return "not found"
    status, payment_status = _standing(speaker, live)
    waiting = speaker if isinstance(speaker, OrderSnapshot) else None
    return OrderView(
        order_id=order_id,
        status=status,
        payment_status=payment_status,
        reason=speaker.reason if speaker else None,
        tracking_number=speaker.tracking_number if speaker else None,
        waiting_for=waiting.waiting_for if waiting else None,
        deadline=waiting.deadline if waiting else None,
        needs_attention=speaker.needs_attention if speaker else False,
        durable=_durable_order(*durable.row) if durable.row else None,
        live=_live_order(live.answer) if live.answer else None,
        missing=_missing(durable, live),
    )


def event_of(event: PublishedEvent) -> Event:
    """Return a published event as callers see it."""
    return _copied(event, Event)


def _newer(
    row: PublishedOrder | None, told: OrderSnapshot | None
) -> PublishedOrder | OrderSnapshot | None:
    if row is None or told is None:
        return row or told
    if row.last_seq == told.last_seq:
        return row if row.status.is_terminal and not told.waiting_for else told
    return row if row.last_seq > told.last_seq else told


def _standing(
    speaker: PublishedOrder | OrderSnapshot | None, live: LivePart
) -> tuple[OrderStatus | None, PaymentStatus | None]:
    if speaker is not None:
        return speaker.status, speaker.payment_status
    if live.answer is not None and live.answer.is_open:
        return OrderStatus.RECEIVED, PaymentStatus.NONE
    return None, None


def _missing(
    durable: DurablePart, live: LivePart
) -> Mapping[Literal["durable", "live"], DurableMissing | LiveMissing]:
    missing: dict[Literal["durable", "live"], DurableMissing | LiveMissing] = {}
    if durable.missing:
        missing["durable"] = durable.missing
    if live.missing:
        missing["live"] = live.missing
    return missing


def _durable_order(row: PublishedOrder, last_event: PublishedEvent) -> DurableOrder:
    return _copied(row, DurableOrder, last_event=event_of(last_event))


def _copied(message: Message, kind: type[Shown], **more: Any) -> Shown:  # noqa: ANN401 - fields
    """Show what a message says under the same names; it was validated when it was read."""
    fields = kind.model_fields
    known: dict[str, Any] = {name: value for name, value in message if name in fields}
    return kind.model_construct(**known, **more)


def _live_order(answer: LiveAnswer) -> LiveOrder:
    told = answer.order.model_dump(exclude={"order_id", "last_error"}) if answer.order else {}
    last_error = answer.order.last_error if answer.order else None
    return LiveOrder(
        execution=answer.execution.name.lower(),
        pending_activities=list(answer.pending_activities),
        last_error=first_line(last_error) if last_error else None,
        **told,
    )
