"""Messages between the service's workflow and its activity, and the values of its repository."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fuze_contracts.base import Message


class DeliverEvents(Message):
    """Deliver the events of one endpoint."""

    endpoint_id: UUID


class BatchEnded(Message):
    """A batch is over. `is_stopped`: the endpoint is disabled or deleted, and needs no other."""

    is_stopped: bool


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """An enabled endpoint, and whether the feed has more events for it already.

    The newest of its signing secrets is the first.
    """

    id: UUID
    url: str
    secrets: tuple[str, ...]
    has_more: bool


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message that one attempt has claimed, with the event that it is about.

    `attempt` counts from 1. `attempted_at` is PostgreSQL's time of the claim: a receiver refuses
    what is signed by a clock that is wrong. The event is None for a test message, and for an event
    that no longer exists.
    """

    id: int
    endpoint_id: UUID
    message_id: str
    created_at: datetime
    attempt: int
    attempted_at: datetime
    fencing_token: int
    is_test: bool
    event: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What became of one attempt. `error` is None if the endpoint accepted the message.

    `retry_after` is the time that the endpoint wants before the next one. `is_final`: another
    attempt is pointless.
    """

    response_status: int | None = None
    response_body: str | None = None
    error: str | None = None
    retry_after: timedelta = timedelta(0)
    is_gone: bool = False
    is_final: bool = False
