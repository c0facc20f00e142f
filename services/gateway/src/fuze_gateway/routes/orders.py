"""Orders: place one, tell it something, see where it stands."""

import asyncio
from http import HTTPStatus
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from fuze_contracts.order import PlaceOrder, order_workflow_id
from fuze_gateway import problems
from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.commands import names_another_order, place_order
from fuze_gateway.dependencies import Sources, SourcesDependency, require_json
from fuze_gateway.documented import OF_A_BODY, problem_responses
from fuze_gateway.fields import OrderId
from fuze_gateway.routes.unheard import refuse_unheard
from fuze_gateway.schemas import (
    ApproveOrder,
    CancelOrderIn,
    OrderAccepted,
    OrderView,
    SignalAccepted,
    StartOrder,
    Timeline,
    UpdateAddressIn,
)
from fuze_gateway.status import DurablePart, LivePart, event_of, merge

router = APIRouter(prefix="/orders/{order_id}", tags=["orders"])


@router.post(
    "/start",
    operation_id="startOrder",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(require_json)],
    responses=problem_responses(*OF_A_BODY, 409, 503),
)
async def start(
    order_id: OrderId, request: StartOrder, response: Response, sources: SourcesDependency
) -> OrderAccepted:
    """Place an order; a 202 is a promise that it will be worked on.

    The id is the caller's. Repeating the request is harmless and says so in the header
    `Idempotent-Replayed`; another request under the same id is a 409.
    """
    if request.order_id not in {None, order_id}:
        raise problems.invalid_field(("body", "order_id"), "must be the order id in the path")
    if names_another_order(request.payment_token, order_id):
        raise problems.invalid_field(("body", "payment_token"), "must not name another order")
    order = place_order(order_id, request, sources.settings)
    if not await _start_or_recognise(order, sources):
        response.headers["Idempotent-Replayed"] = "true"
    response.headers["Location"] = _status_url(order_id)
    return OrderAccepted(
        order_id=order_id,
        workflow_id=order_workflow_id(order_id),
        status_url=_status_url(order_id),
    )


@router.post(
    "/signals/approve",
    operation_id="signalApproval",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(require_json)],
    responses=problem_responses(*OF_A_BODY, 404, 409, 503),
)
async def approve(
    order_id: OrderId, sources: SourcesDependency, request: ApproveOrder | None = None
) -> SignalAccepted:
    """Let the order proceed to payment; without effect once it does."""
    heard = await sources.commands.approve(order_id, request or ApproveOrder())
    return await _signalled(order_id, "approve", sources, heard=heard)


@router.post(
    "/signals/cancel",
    operation_id="signalCancellation",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(require_json)],
    responses=problem_responses(*OF_A_BODY, 404, 409, 503),
)
async def cancel(
    order_id: OrderId, sources: SourcesDependency, request: CancelOrderIn | None = None
) -> SignalAccepted:
    """Stop the order and give its money back; without effect once its parcel is handed over."""
    heard = await sources.commands.cancel(order_id, request or CancelOrderIn())
    return await _signalled(order_id, "cancel", sources, heard=heard)


@router.post(
    "/signals/update-address",
    operation_id="signalAddress",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(require_json)],
    responses=problem_responses(*OF_A_BODY, 404, 409, 503),
)
async def update_address(
    order_id: OrderId, request: UpdateAddressIn, sources: SourcesDependency
) -> SignalAccepted:
    """Send the parcel elsewhere; without effect once it is being handed to the carrier."""
    heard = await sources.commands.update_address(order_id, request)
    return await _signalled(order_id, "update-address", sources, heard=heard)


@router.get("/status", operation_id="getOrderStatus", responses=problem_responses(404, 422, 503))
async def status(order_id: OrderId, sources: SourcesDependency) -> OrderView:
    """Say where the order stands, from its row and from its workflow, whichever can be asked."""
    durable, live = await asyncio.gather(
        _durable_part(order_id, sources), _live_part(order_id, sources)
    )
    view = merge(order_id, durable, live)
    if view == "not found":
        raise problems.order_not_found(order_id)
    if view == "unavailable":
        raise problems.unavailable(
            f"Where order {order_id} stands cannot be said now.",
            missing={"durable": durable.missing, "live": live.missing},
        )
    return view


@router.get("/events", operation_id="getOrderEvents", responses=problem_responses(404, 422, 503))
async def events(order_id: OrderId, sources: SourcesDependency) -> Timeline:
    """Tell everything that happened to the order, as far as it is recorded."""
    recorded = await sources.reads.events(order_id)
    if not recorded:
        raise problems.order_not_found(order_id)
    return Timeline(order_id=order_id, events=[event_of(event) for event in recorded])


async def _start_or_recognise(order: PlaceOrder, sources: Sources) -> bool:
    """Start the order; False if it is a repeat of the request that did.

    The row comes first, because it outlives Temporal's memory of the workflow. Without PostgreSQL
    Temporal alone decides: within its retention it refuses a duplicate by itself.

    Raises:
        Problem: the id belongs to another request.

    """
    try:
        earlier = await sources.reads.fingerprint(order.order_id)
    except SourceUnavailableError:
        earlier = None
    if earlier is None:
        if await sources.commands.start(order):
            return True
        earlier = await sources.live.fingerprint(order_workflow_id(order.order_id))
    if earlier != order.fingerprint:
        raise problems.order_already_exists(order.order_id)
    return False


async def _signalled(
    order_id: UUID,
    signal: Literal["approve", "cancel", "update-address"],
    sources: Sources,
    *,
    heard: bool,
) -> SignalAccepted:
    """Acknowledge a signal, or say why no workflow was there to hear it.

    Raises:
        Problem: the order has ended, or was never placed.
        SourceUnavailableError: it cannot be said which.

    """
    if not heard:
        await refuse_unheard(order_id, sources)
    return SignalAccepted(order_id=order_id, signal=signal, status_url=_status_url(order_id))


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


def _status_url(order_id: UUID) -> str:
    return f"/orders/{order_id}/status"
