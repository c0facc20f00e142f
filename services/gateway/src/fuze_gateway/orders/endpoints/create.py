"""Endpoints that place an order: under an idempotency key, or under the caller's own id."""

from http import HTTPStatus

from fastapi import APIRouter, Depends, Response

from fuze_contracts.order import PlaceOrder
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway.app_services import (
    AppServices,
    IdempotencyKeyDependency,
    PrincipalDependency,
    ServicesDependency,
    require_json,
)
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Principal, Scope
from fuze_gateway.orders.commands import COMMANDS
from fuze_gateway.orders.idempotency import (
    build_place_order,
    get_order_id,
    start_or_replay,
)
from fuze_gateway.orders.schemas.orders import (
    OrderAcceptedResponse,
    PlaceOrderRequest,
    StartOrderRequest,
)
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.errors import Problem
from fuze_gateway.problems.openapi import (
    AUTH_PROBLEMS,
    BODY_PROBLEMS,
    Responses,
    problem_responses,
)
from fuze_gateway.types import OrderId

router = APIRouter(route_class=ScopedRoute, tags=["orders"], dependencies=[Depends(require_json)])

_LINKED_OPERATIONS = (
    *("getOrder", "getOrderStatus", "getOrderEvents", "streamOrderEvents", "getOrderPayments"),
    "getOrderLedger",
    *(command.operation.operation_id for command in COMMANDS),
    *("refundOrder", "requestReturn", "listReturns"),
    *(command.signal.operation.operation_id for command in COMMANDS if command.signal),
)
_ACCEPTED: Responses = {
    202: {
        "headers": {
            "Location": {
                "description": "The URL of the order's status.",
                "schema": {"type": "string"},
            },
            "Idempotent-Replayed": {
                "description": "Present if an earlier request placed the order.",
                "schema": {"type": "string", "const": "true"},
            },
        },
        "links": {
            operation_id: {
                "operationId": operation_id,
                "parameters": {"order_id": "$response.body#/order_id"},
            }
            for operation_id in _LINKED_OPERATIONS
        },
    }
}


@router.post(
    "/orders",
    operation_id="placeOrder",
    summary="Place an order",
    openapi_extra=requires(Scope.ORDERS_WRITE),
    status_code=HTTPStatus.ACCEPTED,
    responses=_ACCEPTED
    | problem_responses(
        *AUTH_PROBLEMS,
        *BODY_PROBLEMS,
        registry.IDEMPOTENCY_KEY_MISSING,
        registry.IDEMPOTENCY_KEY_REUSED,
        registry.UNAVAILABLE,
    ),
)
async def place_order(
    request: PlaceOrderRequest,
    idempotency_key: IdempotencyKeyDependency,
    response: Response,
    services: ServicesDependency,
    principal: PrincipalDependency,
) -> OrderAcceptedResponse:
    """Place an order. A 202 guarantees that the order will be processed.

    The order id is derived from the caller and the `Idempotency-Key`, so a repeated key returns the
    same order for as long as orders are kept, with the header `Idempotent-Replayed`.
    """
    order_id = get_order_id(principal, idempotency_key, services.settings.order_id_key)
    order = build_place_order(order_id, request, services.settings, principal)
    conflict = errors.Problem(registry.IDEMPOTENCY_KEY_REUSED)
    return await _accept(order, response, services, principal, conflict)


@router.post(
    "/orders/{order_id}/start",
    operation_id="startOrder",
    summary="Place an order under your own id",
    openapi_extra=requires(Scope.ORDERS_WRITE),
    status_code=HTTPStatus.ACCEPTED,
    responses=_ACCEPTED
    | problem_responses(
        *AUTH_PROBLEMS, *BODY_PROBLEMS, registry.ORDER_ALREADY_EXISTS, registry.UNAVAILABLE
    ),
)
async def start_order(
    order_id: OrderId,
    request: StartOrderRequest,
    response: Response,
    services: ServicesDependency,
    principal: PrincipalDependency,
) -> OrderAcceptedResponse:
    """Place an order under an id that you choose. A 202 guarantees that it will be processed.

    Repeating the request is safe and returns the header `Idempotent-Replayed`. A different request
    under the same id is a 409.
    """
    if request.order_id not in {None, order_id}:
        raise errors.invalid_field(("body", "order_id"), "must equal the order id in the path")
    order = build_place_order(order_id, request, services.settings, principal)
    conflict = errors.order_already_exists(order_id)
    return await _accept(order, response, services, principal, conflict)


async def _accept(
    order: PlaceOrder,
    response: Response,
    services: AppServices,
    principal: Principal,
    conflict: Problem,
) -> OrderAcceptedResponse:
    if not await start_or_replay(order, services, principal, conflict):
        response.headers["Idempotent-Replayed"] = "true"
    status_url = f"/orders/{order.order_id}/status"
    response.headers["Location"] = status_url
    return OrderAcceptedResponse(
        order_id=order.order_id,
        workflow_id=order_workflow_id(order.order_id),
        status_url=status_url,
    )
