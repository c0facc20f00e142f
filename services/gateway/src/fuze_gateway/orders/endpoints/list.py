"""Endpoint of the list of orders."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from fuze_gateway.app_services import PrincipalDependency, ServicesDependency
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope
from fuze_gateway.orders.order_search import InvalidCursorError
from fuze_gateway.orders.schemas.orders import (
    ListOrdersRequest,
    ListOrdersResponse,
    OrderSummary,
)
from fuze_gateway.problems import registry
from fuze_gateway.problems.errors import Problem
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, problem_responses

router = APIRouter(route_class=ScopedRoute, tags=["orders"])


@router.get(
    "/orders",
    operation_id="listOrders",
    summary="List orders",
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(
        *AUTH_PROBLEMS, registry.INVALID_CURSOR, registry.INVALID_REQUEST, registry.UNAVAILABLE
    ),
)
async def list_orders(
    query: Annotated[ListOrdersRequest, Query()],
    request: Request,
    response: Response,
    services: ServicesDependency,
    principal: PrincipalDependency,
) -> ListOrdersResponse:
    """List orders page by page: pass `next` as `cursor` to get the next page.

    Pages are stable: no order is skipped or repeated, and an order that is placed in between is on
    none of the following pages (newest first).
    """
    if query.is_contradictory:
        return ListOrdersResponse(orders=[], next=None)
    try:
        page = await services.order_search.get_page(
            query.to_filter(services.ownership.get_required_owner(principal)),
            cursor=query.cursor,
            size=query.limit,
        )
    except InvalidCursorError:
        raise Problem(registry.INVALID_CURSOR) from None
    if page.next:
        filters = [
            (name, value) for name, value in request.query_params.multi_items() if name != "cursor"
        ]
        next_query = urlencode([*filters, ("cursor", page.next)])
        response.headers["Link"] = f'</orders?{next_query}>; rel="next"'
    summaries = [OrderSummary.model_validate(order.model_dump()) for order in page.orders]
    return ListOrdersResponse(orders=summaries, next=page.next)
