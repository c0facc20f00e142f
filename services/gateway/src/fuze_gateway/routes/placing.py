"""Placing orders, each once."""

import asyncio
from datetime import timedelta
from http import HTTPStatus
from uuid import NAMESPACE_URL, UUID, uuid5

from fastapi import APIRouter, Depends, Response

from fuze_contracts.order import PlaceOrder
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.availability import (
    SourceUnavailableError,
    database_within,
    temporal_within,
)
from fuze_gateway.commands import names_another_order, place_order
from fuze_gateway.dependencies import (
    CallerDependency,
    KeyDependency,
    Sources,
    SourcesDependency,
    require_json,
)
from fuze_gateway.documented import OF_A_BODY, OF_A_CALLER, Responses, problem_responses
from fuze_gateway.fields import OrderId
from fuze_gateway.identity.authorization import ScopedRoute, requires
from fuze_gateway.identity.callers import Caller, Scope
from fuze_gateway.requests import PlaceOrderIn, StartOrder
from fuze_gateway.schemas import OrderAccepted

router = APIRouter(
    route_class=ScopedRoute,
    tags=["orders"],
    dependencies=[Depends(require_json)],
)

_NEXT = (
    *("getOrder", "getOrderStatus", "getOrderEvents", "streamOrderEvents", "getOrderPayments"),
    *("approveOrder", "rejectOrder", "cancelOrder", "changeAddress", "changePaymentMethod"),
    *("retryOrder", "refundOrder", "signalApproval", "signalCancellation", "signalAddress"),
)
_ACCEPTED: Responses = {
    202: {
        "headers": {
            "Location": {"description": "Where it stands.", "schema": {"type": "string"}},
            "Idempotent-Replayed": {
                "description": "There where the order was placed before.",
                "schema": {"type": "string", "const": "true"},
            },
        },
        "links": {
            operation: {
                "operationId": operation,
                "parameters": {"order_id": "$response.body#/order_id"},
            }
            for operation in _NEXT
        },
    }
}
_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/orders")


@router.post(
    "/orders",
    operation_id="placeOrder",
    openapi_extra=requires(Scope.ORDERS_WRITE),
    status_code=HTTPStatus.ACCEPTED,
    responses=_ACCEPTED
    | problem_responses(
        *OF_A_CALLER,
        *OF_A_BODY,
        types.IDEMPOTENCY_KEY_MISSING,
        types.IDEMPOTENCY_KEY_REUSED,
        types.UNAVAILABLE,
    ),
)
async def place(
    request: PlaceOrderIn,
    key: KeyDependency,
    response: Response,
    sources: SourcesDependency,
    caller: CallerDependency,
) -> OrderAccepted:
    """Place an order; a 202 is a promise that it will be worked on.

    The same key again is the same order, for as long as orders are kept: its id is made of the
    caller and the key. `Idempotent-Replayed` says so.
    """
    order_id = uuid5(_NAMESPACE, f"{_unmistakable(caller.name or '')}/{key}")
    return await _placed(
        order_id, request, response, sources, caller, problems.idempotency_key_reused()
    )


@router.post(
    "/orders/{order_id}/start",
    operation_id="startOrder",
    openapi_extra=requires(Scope.ORDERS_WRITE),
    status_code=HTTPStatus.ACCEPTED,
    responses=_ACCEPTED
    | problem_responses(*OF_A_CALLER, *OF_A_BODY, types.ORDER_ALREADY_EXISTS, types.UNAVAILABLE),
)
async def start(
    order_id: OrderId,
    request: StartOrder,
    response: Response,
    sources: SourcesDependency,
    caller: CallerDependency,
) -> OrderAccepted:
    """Place an order under an id of the caller's; a 202 is a promise that it will be worked on.

    Repeating the request is harmless and says so in the header `Idempotent-Replayed`; another
    request under the same id is a 409.
    """
    if request.order_id not in {None, order_id}:
        raise problems.invalid_field(("body", "order_id"), "must be the order id in the path")
    return await _placed(
        order_id, request, response, sources, caller, problems.order_already_exists(order_id)
    )


def _unmistakable(name: str) -> str:
    """Write a name without a slash: `a/b` with the key `c` is not `a` with the key `b/c`."""
    return name.replace("%", "%25").replace("/", "%2F")


async def _placed(  # noqa: PLR0913, PLR0917 - a request has this many sides
    order_id: UUID,
    request: PlaceOrderIn,
    response: Response,
    sources: Sources,
    caller: Caller,
    otherwise: problems.Problem,
) -> OrderAccepted:
    if names_another_order(request.payment_token, order_id):
        raise problems.invalid_field(("body", "payment_token"), "must not name another order")
    order = place_order(order_id, request, sources.settings, caller)
    if not await _start_or_recognise(order, sources, otherwise):
        response.headers["Idempotent-Replayed"] = "true"
    status_url = f"/orders/{order_id}/status"
    response.headers["Location"] = status_url
    return OrderAccepted(
        order_id=order_id, workflow_id=order_workflow_id(order_id), status_url=status_url
    )


async def _start_or_recognise(
    order: PlaceOrder, sources: Sources, otherwise: problems.Problem
) -> bool:
    """Start the order; False if it is a repeat of the request that did.

    The row comes first, because it outlives Temporal's memory of the workflow. Without PostgreSQL
    Temporal alone decides: within its retention it refuses a duplicate by itself. PostgreSQL has
    half of the time, so that both together take no longer than one source may.

    Raises:
        Problem: the id belongs to another request; that is `otherwise`.
        SourceUnavailableError: Temporal does not answer in time.

    """
    limit = sources.settings.read_timeout
    began = asyncio.get_running_loop().time()
    try:
        async with database_within(limit / 2):
            earlier = await sources.reads.fingerprint(order.order_id)
    except SourceUnavailableError:
        earlier = None
    if earlier is None:
        taken = timedelta(seconds=asyncio.get_running_loop().time() - began)
        async with temporal_within(limit - taken):
            is_new = await sources.commands.start(order)
        if is_new:
            return True
        earlier = await sources.live.fingerprint(order_workflow_id(order.order_id))
    if earlier != order.fingerprint:
        raise otherwise
    return False
