"""Endpoint of the feed of all events."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from fuze_gateway.app_services import PrincipalDependency, ServicesDependency
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope
from fuze_gateway.orders.event_broadcaster import TooManySubscriptionsError
from fuze_gateway.orders.order_search import InvalidCursorError
from fuze_gateway.orders.schemas.event_feed import FeedEvent, ListFeedRequest, ListFeedResponse
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, problem_responses

router = APIRouter(route_class=ScopedRoute, tags=["orders"])


@router.get(
    "/events",
    operation_id="listEvents",
    summary="List the events of all orders",
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(
        *AUTH_PROBLEMS,
        registry.INVALID_CURSOR,
        registry.INVALID_REQUEST,
        registry.TOO_MANY_STREAMS,
        registry.UNAVAILABLE,
    ),
)
async def list_events(
    query: Annotated[ListFeedRequest, Query()],
    services: ServicesDependency,
    principal: PrincipalDependency,
) -> ListFeedResponse:
    """List the events of all orders in commit order; pass `next` as `after` to continue.

    No event is skipped and none is repeated, however transactions interleave; the events of one
    order are in the order of their `seq`. With `wait`, the response is sent when there is an event,
    or after that time without one.
    """
    after = query.after
    if after is None and query.start == "latest":
        after = await services.event_feed.get_end()
    try:
        page = await services.event_feed.get_page(
            after,
            owner=services.ownership.get_required_owner(principal),
            size=query.limit,
            wait=timedelta(seconds=query.wait),
            caller=principal.id,
        )
    except InvalidCursorError:
        raise errors.Problem(registry.INVALID_CURSOR) from None
    except TooManySubscriptionsError as error:
        raise errors.at_stream_limit(
            services.settings.max_streams_per_caller if error.of_caller else None
        ) from None
    events = [FeedEvent.model_validate(event.model_dump()) for event in page.events]
    return ListFeedResponse(events=events, next=page.next, has_more=page.has_more)
