"""An order's events as they happen: Server-Sent Events."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.dependencies import SourcesDependency
from fuze_gateway.documented import OF_A_CALLER, problem_responses
from fuze_gateway.feed import Reader, TooManyReadersError
from fuze_gateway.fields import OrderId
from fuze_gateway.identity.authorization import ScopedRoute, requires
from fuze_gateway.identity.callers import Scope
from fuze_gateway.routes.recorded import when_recorded
from fuze_gateway.status import event_of

router = APIRouter(route_class=ScopedRoute, tags=["orders"])

_HEARTBEAT = timedelta(seconds=15)
_RETRY_MILLISECONDS = 2000
_MESSAGE = {
    "title": "Message",
    "type": "object",
    "description": "As `EventSource` reads it; `data` is an event as in `getOrderEvents`.",
    "required": ["data", "event", "id"],
    "properties": {
        "data": {"type": "string", "contentMediaType": "application/json"},
        "event": {"type": "string"},
        "id": {"type": "string"},
    },
}
_EXAMPLE = (
    "retry: 2000\n\n"
    'event: order_approved\ndata: {"seq":3,"type":"order_approved","status":"approved",'
    '"payment_status":"pending","actor":"grace","details":{},'
    '"occurred_at":"2026-01-05T10:00:00Z"}\nid: 3\n\n'
)


class _EventStream(StreamingResponse):
    """Messages as `EventSource` reads them.

    FastAPI's own sends them from two tasks a reader, and can answer nothing else once it streams.
    """

    media_type = "text/event-stream"

    def __init__(self, reader: Reader, after: int, lifetime: timedelta) -> None:
        # A proxy that waits for more would hold the messages back.
        headers = {"X-Accel-Buffering": "no"}
        super().__init__(_messages(reader, after, lifetime), headers=headers)
        self._reader = reader

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Send the messages; the reader is closed even where none was ever sent."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._reader.close()


@router.get(
    "/orders/{order_id}/events/stream",
    operation_id="streamOrderEvents",
    response_class=_EventStream,
    status_code=HTTPStatus.OK,
    openapi_extra=requires(Scope.ORDERS_READ),
    responses={
        200: {
            "description": "One message an event; its id is the event's `seq`.",
            "content": {"text/event-stream": {"schema": _MESSAGE, "example": _EXAMPLE}},
        },
        204: {"description": "The order has ended, and you have read all of it."},
        **problem_responses(
            *OF_A_CALLER, types.INVALID_REQUEST, types.ORDER_NOT_FOUND, types.UNAVAILABLE
        ),
    },
)
async def stream(
    order_id: OrderId,
    sources: SourcesDependency,
    last_event_id: Annotated[
        int,
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=2**31 - 1,
            description="Go on after this event; browsers send it when they come back.",
        ),
    ] = 0,
) -> Response:
    """Follow the order: what happened so far, then each event as it happens, until it has ended.

    A comment comes every 15 seconds in which nothing happens. A stream ends after an hour, too, and
    is taken up by `Last-Event-ID`. Whoever reconnects to an order that has ended gets a 204, on
    which an `EventSource` stops.
    """
    try:
        reader = await when_recorded(order_id, sources, lambda: sources.feed.open(order_id))
    except TooManyReadersError:
        raise problems.unavailable("This gateway serves as many streams as it can.") from None
    if reader.has_read_all(last_event_id):
        reader.close()
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return _EventStream(reader, last_event_id, sources.settings.stream_lifetime)


async def _messages(reader: Reader, after: int, lifetime: timedelta) -> AsyncIterator[bytes]:
    """Yield what the reader reads, until its time is over: a key that was taken back reads no more.

    The end is seen at the next message, or heartbeat.
    """
    now = asyncio.get_running_loop().time
    end = now() + lifetime.total_seconds()
    yield format_sse_event(retry=_RETRY_MILLISECONDS)
    async for event in reader.events(after, heartbeat=min(_HEARTBEAT, lifetime)):
        if event is None:
            yield format_sse_event(comment="nothing new")
        else:
            data = event_of(event).model_dump_json()
            yield format_sse_event(data_str=data, event=event.type, id=str(event.seq))
        if now() >= end:
            return
