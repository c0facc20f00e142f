"""The endpoints that recover orders whose workflow is missing."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Depends

from fuze_contracts.order import CancelOrder
from fuze_contracts.read_models import PublishedOrder
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway.app_services import (
    AppServices,
    PrincipalDependency,
    ServicesDependency,
    require_json,
)
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Principal, Scope
from fuze_gateway.orders.endpoints.commands import execute_bulk
from fuze_gateway.orders.recovery import recover
from fuze_gateway.orders.schemas.commands import (
    BulkResponse,
    CommandResponse,
    RecoverOrderRequest,
    RecoverOrdersRequest,
)
from fuze_gateway.orders.schemas.orders import OrderAcceptedResponse
from fuze_gateway.problems import registry
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, BODY_PROBLEMS, problem_responses
from fuze_gateway.types import OrderId

router = APIRouter(route_class=ScopedRoute, dependencies=[Depends(require_json)])


@router.post(
    "/orders/bulk/recover",
    tags=["bulk"],
    operation_id="recoverOrders",
    summary="Recover many orders",
    openapi_extra=requires(Scope.ORDERS_OPERATE),
    responses=problem_responses(*AUTH_PROBLEMS, *BODY_PROBLEMS, registry.UNAVAILABLE),
)
async def recover_orders(
    request: RecoverOrdersRequest, services: ServicesDependency, principal: PrincipalDependency
) -> BulkResponse:
    """Recover up to 500 orders. Each has a result: the order as it was, or the problem.

    It is safe to repeat: an order that was recovered is reported as `workflow-running`.
    """

    async def execute(order_id: UUID) -> CommandResponse:
        order = await _recover(order_id, request, services, principal)
        return CommandResponse.model_validate(order.model_dump())

    return await execute_bulk(request.order_ids, execute, services, principal)


@router.post(
    "/orders/{order_id}/recover",
    tags=["commands"],
    operation_id="recoverOrder",
    summary="Recover an order whose workflow is missing",
    openapi_extra=requires(Scope.ORDERS_OPERATE),
    status_code=HTTPStatus.ACCEPTED,
    responses=problem_responses(
        *AUTH_PROBLEMS,
        *BODY_PROBLEMS,
        registry.ORDER_NOT_FOUND,
        registry.ORDER_CLOSED,
        registry.WORKFLOW_RUNNING,
        registry.UNAVAILABLE,
    ),
)
async def recover_order(
    order_id: OrderId,
    services: ServicesDependency,
    principal: PrincipalDependency,
    request: RecoverOrderRequest | None = None,
) -> OrderAcceptedResponse:
    """Start the workflow of an open order again, from the order's row.

    The order keeps its id, its payment token and its events. It finds out what was charged and
    dispatched, and continues. With `then: cancel` everything is undone instead; while the carrier
    is being called this is refused, and the order goes on: cancel it again.
    """
    await _recover(order_id, request or RecoverOrderRequest(), services, principal)
    return OrderAcceptedResponse(
        order_id=order_id,
        workflow_id=order_workflow_id(order_id),
        status_url=f"/orders/{order_id}/status",
    )


async def _recover(
    order_id: UUID, request: RecoverOrderRequest, services: AppServices, principal: Principal
) -> PublishedOrder:
    actor = principal.actor_name(request.actor)
    cancellation = None
    if request.then == "cancel":
        cancellation = CancelOrder(actor=actor, reason=request.reason)
    return await recover(order_id, services, actor, cancellation)
