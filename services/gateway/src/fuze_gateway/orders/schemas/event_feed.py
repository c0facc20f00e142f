"""Request and response models of the feed of all events, and of stream tickets."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fuze_gateway.orders.schemas.orders import EVENT_EXAMPLE, Event, example
from fuze_gateway.types import EXAMPLE_ORDER_ID, RequestModel

MAX_WAIT_SECONDS = 30
"""Below the idle timeout of most proxies."""

_CURSOR_EXAMPLE = "Wzc1MywxMDI0XQ.kq3H0rZ4v1"


class ListFeedRequest(RequestModel):
    """The position in the feed, the page size, and how long to wait for an event."""

    model_config = ConfigDict(strict=False)

    after: str | None = Field(
        None,
        max_length=500,
        description="`next` of the previous response; without it, the page begins at `start`.",
    )
    start: Literal["oldest", "latest"] = Field(
        "oldest",
        description="Where to begin without `after`: at the oldest event, or behind all events that"
        " are there now.",
    )
    limit: int = Field(100, ge=1, le=500)
    wait: int = Field(
        0,
        ge=0,
        le=MAX_WAIT_SECONDS,
        description="Seconds to wait for an event if there is none yet.",
    )


class FeedEvent(Event):
    """An event of one of the orders; `order_id` and `seq` identify it."""

    order_id: UUID


class ListFeedResponse(BaseModel):
    """Events in commit order. Store `next` once they are processed."""

    model_config = example(
        events=[{"order_id": EXAMPLE_ORDER_ID, **EVENT_EXAMPLE}],
        next=_CURSOR_EXAMPLE,
        has_more=False,
    )

    events: list[FeedEvent]
    next: str = Field(description="Pass it as `after` to continue behind these events.")
    has_more: bool = Field(description="Whether more events are there already.")


class StreamEventsRequest(RequestModel):
    """Where a new `EventSource`, which cannot send headers, begins, and its ticket."""

    model_config = ConfigDict(strict=False)

    last_event_id: int = Field(
        0, ge=0, le=2**31 - 1, description="As the header `Last-Event-ID`; the higher one counts."
    )
    ticket: str | None = Field(
        None,
        max_length=2000,
        description="A ticket of `createStreamTicket`, in place of a key or token.",
    )


class StreamTicketResponse(BaseModel):
    """A ticket for the event stream of one order, and the URL with it."""

    model_config = example(
        ticket="WyIxMjNlNDU2NyJd.aVuzwA.kq3H0rZ4v1",
        expires_at="2026-01-05T10:01:00Z",
        stream_url=f"/orders/{EXAMPLE_ORDER_ID}/events/stream?ticket=WyIxMjNlNDU2NyJd.aVuzwA.kq3H0rZ4v1",
    )

    ticket: str
    expires_at: datetime
    stream_url: str
