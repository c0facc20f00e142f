"""Endpoint of the event stream of an order: Server-Sent Events."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as Connection

from fuze_gateway.app_services import AppServices, PrincipalDependency, ServicesDependency
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope, UnauthenticatedError
from fuze_gateway.orders.event_broadcaster import Subscription, TooManySubscriptionsError
from fuze_gateway.orders.lookup import wait_until_recorded
from fuze_gateway.orders.status_merge import to_event
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, problem_responses
from fuze_gateway.types import OrderId
from fuze_gateway.upstreams import UpstreamUnavailableError

router = APIRouter(route_class=ScopedRoute, tags=["orders"])

_HEARTBEAT = timedelta(seconds=15)
_RETRY_MILLISECONDS = 2000
_MESSAGE = {
    "title": "Message",
    "type": "object",
    "description": "A message for `EventSource`; `data` is an event as in `getOrderEvents`.",
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
            "content": {"text/event-stream": {"schema": _MESSAGE, "example": _EXAMPLE}},
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
    services: ServicesDependency,
    principal: PrincipalDependency,
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
    try:
        subscription = await wait_until_recorded(
            order_id, services, lambda: services.broadcaster.subscribe(order_id, principal.id)
        )
    except TooManySubscriptionsError as error:
        if error.of_caller:
            maximum = services.settings.max_streams_per_caller
            raise errors.too_many_streams(maximum) from None
        raise errors.unavailable("This gateway is at its limit of event streams.") from None
    if subscription.is_complete(last_event_id):
        subscription.close()
        return Response(status_code=HTTPStatus.NO_CONTENT)
    return _EventStream(subscription, last_event_id, request, services)


async def _messages(
    subscription: Subscription, after: int, request: Request, services: AppServices
) -> AsyncIterator[bytes]:
    """Yield the messages until the stream's lifetime ends, or its credentials are revoked.

    Both are checked after a message or heartbeat.
    """
    now = asyncio.get_running_loop().time
    lifetime = services.settings.stream_lifetime
    check_interval = services.settings.api_key_cache_ttl / 2
    end = now() + lifetime.total_seconds()
    next_check = now() + check_interval.total_seconds()
    heartbeat = min(_HEARTBEAT, lifetime, check_interval)
    yield format_sse_event(retry=_RETRY_MILLISECONDS)
    async for event in subscription.events(after, heartbeat=heartbeat):
        if now() >= next_check:
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
