"""Endpoints of the event stream of an order (Server-Sent Events), and of its tickets."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from fuze_gateway.app_services import (
    AppServices,
    PrincipalDependency,
    ServicesDependency,
    get_services,
)
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope, UnauthenticatedError
from fuze_gateway.auth.stream_tickets import MAX_TICKETED_STREAM, TICKET_PARAMETER, find_ticket
from fuze_gateway.orders.event_broadcaster import Subscription, TooManySubscriptionsError
from fuze_gateway.orders.lookup import wait_until_recorded
from fuze_gateway.orders.schemas.event_feed import StreamEventsRequest, StreamTicketResponse
from fuze_gateway.orders.status_merge import to_event
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, problem_responses
from fuze_gateway.types import OrderId
from fuze_gateway.upstreams import UpstreamUnavailableError

router = APIRouter(route_class=ScopedRoute, tags=["orders"])

_HEARTBEAT = timedelta(seconds=15)
_RETRY_MILLISECONDS = 2000
# Some tools take the text for what is described, others each message.
_STREAM = {
    "type": ["string", "object"],
    "description": "Messages for `EventSource`: `data` is an event as in `getOrderEvents`, `event`"
    " its type, `id` its `seq`.",
}
_EXAMPLE = (
    "retry: 2000\n\n"
    'event: order_approved\ndata: {"seq":3,"type":"order_approved","status":"approved",'
    '"payment_status":"pending","actor":"grace","details":{},'
    '"occurred_at":"2026-01-05T10:00:00Z"}\nid: 3\n\n'
)


class _EventStream(StreamingResponse):
    """A stream of messages for `EventSource`.

    FastAPI's own event stream uses two tasks per client and cannot respond 204.
    """

    media_type = "text/event-stream"

    def __init__(
        self, subscription: Subscription, after: int, request: Request, services: AppServices
    ) -> None:
        # Without it, nginx buffers the messages.
        headers = {"X-Accel-Buffering": "no"}
        super().__init__(_messages(subscription, after, request, services), headers=headers)
        self._subscription = subscription

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Send the messages, and close the subscription even if none was ever sent."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._subscription.close()


@router.get(
    "/orders/{order_id}/events/stream",
    operation_id="streamOrderEvents",
    summary="Stream the events of an order",
    response_class=_EventStream,
    status_code=HTTPStatus.OK,
    openapi_extra=requires(Scope.ORDERS_READ),
    responses={
        200: {
            "description": "One message per event; its id is the event's `seq`.",
            "content": {"text/event-stream": {"schema": _STREAM, "example": _EXAMPLE}},
        },
        204: {"description": "The order has ended and has no further events."},
        **problem_responses(
            *AUTH_PROBLEMS,
            registry.INVALID_REQUEST,
            registry.ORDER_NOT_FOUND,
            registry.TOO_MANY_STREAMS,
            registry.UNAVAILABLE,
        ),
    },
)
async def stream_events(
    order_id: OrderId,
    request: Request,
    principal: PrincipalDependency,
    query: Annotated[StreamEventsRequest, Query()],
    last_event_id: Annotated[
        int,
        Header(
            alias="Last-Event-ID",
            ge=0,
            le=2**31 - 1,
            description="Resume after this event; browsers send it when they reconnect.",
        ),
    ] = 0,
) -> Response:
    """Stream the past events of the order, then each new event, until the order has ended.

    A comment is sent at least every 15 seconds without an event. A stream ends after an hour, or
    when its credentials expire or are revoked; resume it with `Last-Event-ID`. The response for an
    order that has ended and has no further events is 204, which stops an `EventSource`.
    """
    services = get_services(request)
    after = max(last_event_id, query.last_event_id)
    try:
        subscription = await wait_until_recorded(
            order_id, services, lambda: services.broadcaster.subscribe(order_id, principal.id)
        )
    except TooManySubscriptionsError as error:
        raise errors.at_stream_limit(
            services.settings.max_streams_per_caller if error.of_caller else None
        ) from None
    if subscription.is_complete(after):
        subscription.close()
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return _EventStream(subscription, after, request, services)


@router.post(
    "/orders/{order_id}/events/ticket",
    operation_id="createStreamTicket",
    summary="Create a ticket for the event stream of an order",
    status_code=HTTPStatus.CREATED,
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(
        *AUTH_PROBLEMS,
        registry.INVALID_REQUEST,
        registry.ORDER_NOT_FOUND,
        registry.UNAVAILABLE,
    ),
)
async def create_stream_ticket(
    order_id: OrderId, services: ServicesDependency, principal: PrincipalDependency
) -> StreamTicketResponse:
    """Return a URL of the order's event stream with a ticket in it, for an `EventSource`.

    The ticket opens this stream only, for a minute. A stream that it opened ends after five minutes
    at the latest; then create another ticket, and pass the last id as `last_event_id`.
    """
    await wait_until_recorded(order_id, services, lambda: services.orders.get_status(order_id))
    ticket = services.stream_tickets.issue(principal, order_id)
    url = f"/orders/{order_id}/events/stream?{TICKET_PARAMETER}={ticket.text}"
    return StreamTicketResponse(ticket=ticket.text, expires_at=ticket.expires_at, stream_url=url)


async def _messages(
    subscription: Subscription, after: int, request: Request, services: AppServices
) -> AsyncIterator[bytes]:
    """Yield the messages until the stream's lifetime ends, or its credentials are revoked.

    Both are checked after a message or heartbeat.
    """
    now = asyncio.get_running_loop().time
    is_ticketed = find_ticket(request.scope) is not None
    lifetime = services.settings.stream_lifetime
    if is_ticketed:
        lifetime = min(lifetime, MAX_TICKETED_STREAM)
    check_interval = services.settings.api_key_cache_ttl / 2
    end = now() + lifetime.total_seconds()
    next_check = now() + check_interval.total_seconds()
    heartbeat = min(_HEARTBEAT, lifetime, check_interval)
    yield format_sse_event(retry=_RETRY_MILLISECONDS)
    async for event in subscription.events(after, heartbeat=heartbeat):
        if now() >= next_check and not is_ticketed:
            if not await _is_authorized(request, services):
                return
            next_check = now() + check_interval.total_seconds()
        if event is None:
            yield format_sse_event(comment="heartbeat")
        else:
            data = to_event(event).model_dump_json()
            yield format_sse_event(data_str=data, event=event.type, id=str(event.seq))
        if now() >= end:
            return


async def _is_authorized(request: Request, services: AppServices) -> bool:
    """Return whether the stream's credentials still permit it, as far as that can be known now."""
    try:
        principal = await services.authenticator.authenticate(request.headers)
    except UnauthenticatedError:
        return False
    except UpstreamUnavailableError:
        return True
    return Scope.ORDERS_READ in principal.scopes
