"""One order: all of it, where it stands, what happened to it."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Request, Response

from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.dependencies import Sources, SourcesDependency, sources_behind
from fuze_gateway.documented import OF_A_CALLER, problem_responses
from fuze_gateway.fields import OrderId
from fuze_gateway.identity.authorization import ScopedRoute, requires
from fuze_gateway.identity.callers import Scope
from fuze_gateway.routes.recorded import when_recorded
from fuze_gateway.schemas import Order, OrderView, Timeline
from fuze_gateway.status import DurablePart, LivePart, event_of, merge

router = APIRouter(
    route_class=ScopedRoute,
    prefix="/orders/{order_id}",
    tags=["orders"],
    responses=problem_responses(
        *OF_A_CALLER, types.INVALID_REQUEST, types.ORDER_NOT_FOUND, types.UNAVAILABLE
    ),
)

_PATIENCE_WITH_THE_ROW_SECONDS = 0.1
"""What an order that has ended saves Temporal; a row that takes longer is not waited for alone."""

_CLOSED = LivePart(missing="workflow closed")


@router.get(
    "", operation_id="getOrder", openapi_extra=requires(Scope.ORDERS_READ), response_model=Order
)
async def order(order_id: OrderId, request: Request) -> Response:
    """Return all that PostgreSQL has of the order, but for its events and its payments."""
    sources = sources_behind(request)
    row = await when_recorded(order_id, sources, lambda: sources.reads.order(order_id))
    return _as_json(Order.of(row))


@router.get(
    "/status",
    operation_id="getOrderStatus",
    openapi_extra=requires(Scope.ORDERS_READ),
    response_model=OrderView,
)
async def status(order_id: OrderId, request: Request) -> Response:
    """Say where the order stands, from its row and from its workflow, whichever can be asked.

    The row of an order that has ended says it all; then its workflow is not asked.
    """
    sources = sources_behind(request)
    durable, live = await _both_parts(order_id, sources)
    view = merge(order_id, durable, live)
    if view == "not found":
        raise problems.order_not_found(order_id)
    if view == "unavailable":
        raise problems.unavailable(
            f"Where order {order_id} stands cannot be said now.",
            missing={"durable": durable.missing, "live": live.missing},
        )
    return _as_json(view)


@router.get("/events", operation_id="getOrderEvents", openapi_extra=requires(Scope.ORDERS_READ))
async def events(order_id: OrderId, sources: SourcesDependency) -> Timeline:
    """Tell everything that happened to the order, as far as it is recorded."""
    recorded = await when_recorded(order_id, sources, lambda: sources.reads.events(order_id))
    return Timeline(order_id=order_id, events=[event_of(event) for event in recorded])


def _as_json(answer: Order | OrderView) -> Response:
    """Write an answer that was validated when it was built; FastAPI would do that again."""
    return Response(answer.__pydantic_serializer__.to_json(answer), media_type="application/json")


async def _both_parts(order_id: UUID, sources: Sources) -> tuple[DurablePart, LivePart]:
    """Ask PostgreSQL, and Temporal if there is a need to, or while PostgreSQL takes its time."""
    asked: list[asyncio.Task[LivePart]] = []
    asking = asyncio.get_running_loop().call_later(
        _PATIENCE_WITH_THE_ROW_SECONDS,
        lambda: asked.append(asyncio.create_task(_live_part(order_id, sources))),
    )
    try:
        durable = await _durable_part(order_id, sources)
    finally:
        asking.cancel()
    if asked:
        return durable, await asked[0]
    if durable.is_closed(datetime.now(UTC)):
        return durable, _CLOSED
    return durable, await _live_part(order_id, sources)


async def _durable_part(order_id: UUID, sources: Sources) -> DurablePart:
    try:
        row = await sources.reads.order_with_last_event(order_id)
    except SourceUnavailableError as error:
        return DurablePart(missing="timed out" if error.timed_out else "database unavailable")
    return DurablePart(row=row, missing=None if row else "not recorded yet")


async def _live_part(order_id: UUID, sources: Sources) -> LivePart:
    try:
        answer = await sources.live.read(order_id)
    except SourceUnavailableError as error:
        return LivePart(missing="timed out" if error.timed_out else "temporal unavailable")
    return LivePart(answer=answer, missing=answer.missing if answer else "workflow not found")
