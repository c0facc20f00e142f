"""Endpoints of one order: the order, its status, its events."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response

from fuze_gateway.app_services import AppServices, ServicesDependency, get_services
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope
from fuze_gateway.orders.lookup import wait_until_recorded
from fuze_gateway.orders.schemas.orders import ListEventsResponse, Order
from fuze_gateway.orders.schemas.status import (
    DurableUnavailable,
    LiveUnavailable,
    OrderStatusResponse,
)
from fuze_gateway.orders.status_merge import DurablePart, LivePart, merge, to_event
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, problem_responses
from fuze_gateway.types import OrderId
from fuze_gateway.upstreams import UpstreamUnavailableError

router = APIRouter(
    route_class=ScopedRoute,
    prefix="/orders/{order_id}",
    tags=["orders"],
    responses=problem_responses(
        *AUTH_PROBLEMS, registry.INVALID_REQUEST, registry.ORDER_NOT_FOUND, registry.UNAVAILABLE
    ),
)

_ROW_HEAD_START_SECONDS = 0.1
"""The row of a closed order makes a call to Temporal unnecessary. After this time both are read."""

_CLOSED = LivePart(unavailable=LiveUnavailable.WORKFLOW_CLOSED)


@router.get(
    "",
    operation_id="getOrder",
    summary="Get an order",
    openapi_extra=requires(Scope.ORDERS_READ),
    response_model=Order,
)
async def get_order(order_id: OrderId, request: Request) -> Response:
    """Return the order as PostgreSQL has it. Its events and payments are at their own URLs."""
    services = get_services(request)
    row = await wait_until_recorded(order_id, services, lambda: services.orders.get_order(order_id))
    return _to_json(Order.from_row(row))


@router.get(
    "/status",
    operation_id="getOrderStatus",
    summary="Get the status of an order",
    openapi_extra=requires(Scope.ORDERS_READ),
    response_model=OrderStatusResponse,
)
async def get_order_status(order_id: OrderId, request: Request) -> Response:
    """Return the status from the order's row and its workflow, as far as each is available.

    A closed order is answered from its row alone; its workflow is not queried.
    """
    services = get_services(request)
    durable, live = await _read_both_parts(order_id, services)
    status = merge(order_id, durable, live)
    if status == "not found":
        raise errors.order_not_found(order_id)
    if status == "unavailable":
        raise errors.unavailable(
            f"The status of order {order_id} is not available now.",
            unavailable={"durable": durable.unavailable, "live": live.unavailable},
        )
    return _to_json(status)


@router.get(
    "/events",
    operation_id="getOrderEvents",
    summary="List the events of an order",
    openapi_extra=requires(Scope.ORDERS_READ),
)
async def list_events(order_id: OrderId, services: ServicesDependency) -> ListEventsResponse:
    """Return every recorded event of the order, oldest first."""
    events = await wait_until_recorded(
        order_id, services, lambda: services.orders.list_events(order_id)
    )
    return ListEventsResponse(order_id=order_id, events=[to_event(event) for event in events])


def _to_json(model: Order | OrderStatusResponse) -> Response:
    """Serialize a model that is already validated; FastAPI would validate it again."""
    return Response(model.__pydantic_serializer__.to_json(model), media_type="application/json")


async def _read_both_parts(order_id: UUID, services: AppServices) -> tuple[DurablePart, LivePart]:
    """Read the row, and the workflow if the order is open or the row takes long."""
    started: list[asyncio.Task[LivePart]] = []
    timer = asyncio.get_running_loop().call_later(
        _ROW_HEAD_START_SECONDS,
        lambda: started.append(asyncio.create_task(_read_live_part(order_id, services))),
    )
    try:
        durable = await _read_durable_part(order_id, services)
    finally:
        timer.cancel()
    if started:
        return durable, await started[0]
    if durable.is_closed(datetime.now(UTC)):
        return durable, _CLOSED
    return durable, await _read_live_part(order_id, services)


async def _read_durable_part(order_id: UUID, services: AppServices) -> DurablePart:
    try:
        row = await services.orders.get_order_with_last_event(order_id)
    except UpstreamUnavailableError as error:
        return DurablePart(
            unavailable=DurableUnavailable.TIMEOUT
            if error.timed_out
            else DurableUnavailable.DATABASE_UNAVAILABLE
        )
    return DurablePart(row=row, unavailable=None if row else DurableUnavailable.NOT_RECORDED)


async def _read_live_part(order_id: UUID, services: AppServices) -> LivePart:
    try:
        snapshot = await services.workflows.get_snapshot(order_id)
    except UpstreamUnavailableError as error:
        return LivePart(
            unavailable=LiveUnavailable.TIMEOUT
            if error.timed_out
            else LiveUnavailable.TEMPORAL_UNAVAILABLE
        )
    if snapshot is None:
        return LivePart(unavailable=LiveUnavailable.WORKFLOW_NOT_FOUND)
    return LivePart(snapshot=snapshot, unavailable=snapshot.unavailable)
