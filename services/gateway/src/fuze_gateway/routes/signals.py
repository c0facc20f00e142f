"""What an order is told without waiting for what it makes of it: 202, and on."""

from http import HTTPStatus
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Depends

from fuze_contracts.order import ApproveOrder, CancelOrder, ChangeAddress
from fuze_gateway import problem_types as types
from fuze_gateway.commands import address_of
from fuze_gateway.dependencies import (
    CallerDependency,
    Sources,
    SourcesDependency,
    require_json,
)
from fuze_gateway.documented import OF_A_BODY, OF_A_CALLER, problem_responses
from fuze_gateway.fields import OrderId
from fuze_gateway.identity.authorization import ScopedRoute, requires
from fuze_gateway.identity.callers import Scope
from fuze_gateway.requests import ApproveOrderBody, CancelOrderIn, ChangeAddressIn
from fuze_gateway.routes.unheard import refuse_unheard
from fuze_gateway.schemas import SignalAccepted

router = APIRouter(
    route_class=ScopedRoute,
    prefix="/orders/{order_id}/signals",
    tags=["signals"],
    dependencies=[Depends(require_json)],
    responses=problem_responses(
        *OF_A_CALLER,
        *OF_A_BODY,
        types.ORDER_NOT_FOUND,
        types.ORDER_CLOSED,
        types.UNAVAILABLE,
    ),
)


@router.post(
    "/approve",
    operation_id="signalApproval",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=requires(Scope.ORDERS_APPROVE),
)
async def approve(
    order_id: OrderId,
    sources: SourcesDependency,
    caller: CallerDependency,
    request: ApproveOrderBody | None = None,
) -> SignalAccepted:
    """Let the order proceed to payment; without effect once it does."""
    actor = caller.acting_as(request.actor if request else None)
    heard = await sources.commands.approve(order_id, ApproveOrder(actor=actor))
    return await _signalled(order_id, "approve", sources, heard=heard)


@router.post(
    "/cancel",
    operation_id="signalCancellation",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=requires(Scope.ORDERS_WRITE),
)
async def cancel(
    order_id: OrderId,
    sources: SourcesDependency,
    caller: CallerDependency,
    request: CancelOrderIn | None = None,
) -> SignalAccepted:
    """Stop the order and give its money back; without effect once its parcel is handed over."""
    asked = request or CancelOrderIn()
    cancellation = CancelOrder(actor=caller.acting_as(asked.actor), reason=asked.reason)
    heard = await sources.commands.cancel(order_id, cancellation)
    return await _signalled(order_id, "cancel", sources, heard=heard)


@router.post(
    "/change-address",
    operation_id="signalAddress",
    status_code=HTTPStatus.ACCEPTED,
    openapi_extra=requires(Scope.ORDERS_WRITE),
)
async def change_address(
    order_id: OrderId,
    request: ChangeAddressIn,
    sources: SourcesDependency,
    caller: CallerDependency,
) -> SignalAccepted:
    """Send the parcel elsewhere; without effect once it is being handed to the carrier."""
    update = ChangeAddress(
        address=address_of(request.address), actor=caller.acting_as(request.actor)
    )
    heard = await sources.commands.change_address(order_id, update)
    return await _signalled(order_id, "change-address", sources, heard=heard)


async def _signalled(
    order_id: UUID,
    signal: Literal["approve", "cancel", "change-address"],
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
    status_url = f"/orders/{order_id}/status"
    return SignalAccepted(order_id=order_id, signal=signal, status_url=status_url)
