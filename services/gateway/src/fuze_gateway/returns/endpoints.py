"""Endpoints of returns: request, read, and one endpoint for each action."""

from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from fuze_contracts.returns import ChangeReturn, ReturnAction, ReturnRefused
from fuze_gateway.app_services import (
    IdempotencyKeyDependency,
    PrincipalDependency,
    ServicesDependency,
    require_json,
)
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope
from fuze_gateway.orders.lookup import wait_until_recorded
from fuze_gateway.orders.order_validation import require_known_lines
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import (
    AUTH_PROBLEMS,
    BODY_PROBLEMS,
    Responses,
    problem_responses,
)
from fuze_gateway.returns.commands import (
    ReturnChangeRejectedError,
    build_return,
    get_fingerprint,
    get_return_id,
    rebuild_return,
)
from fuze_gateway.returns.schemas import (
    ChangeReturnRequest,
    ChangeReturnResponse,
    ListOpenReturnsResponse,
    ListReturnsResponse,
    RequestReturnRequest,
    Return,
    ReturnRequestedResponse,
)
from fuze_gateway.types import OrderId, ReturnId

router = APIRouter(route_class=ScopedRoute, tags=["returns"])

_CREATED: Responses = {
    201: {
        "headers": {
            "Location": {"description": "The URL of the return.", "schema": {"type": "string"}},
            "Idempotent-Replayed": {
                "description": "Present if an earlier request made the return.",
                "schema": {"type": "string", "const": "true"},
            },
        },
        "links": {
            operation_id: {
                "operationId": operation_id,
                "parameters": {
                    "order_id": "$response.body#/order_id",
                    "return_id": "$response.body#/return_id",
                },
            }
            for operation_id in ("getReturn", *(f"{action}Return" for action in ReturnAction))
        },
    }
}


@router.post(
    "/orders/{order_id}/returns",
    operation_id="requestReturn",
    summary="Request a return",
    status_code=HTTPStatus.CREATED,
    dependencies=[Depends(require_json)],
    openapi_extra=requires(Scope.ORDERS_WRITE),
    responses=_CREATED
    | problem_responses(
        *AUTH_PROBLEMS,
        *BODY_PROBLEMS,
        registry.IDEMPOTENCY_KEY_MISSING,
        registry.IDEMPOTENCY_KEY_REUSED,
        registry.ORDER_NOT_FOUND,
        registry.ORDER_NOT_RETURNABLE,
        registry.RETURN_TOO_LARGE,
        registry.UNAVAILABLE,
    ),
)
async def request_return(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    order_id: OrderId,
    request: RequestReturnRequest,
    idempotency_key: IdempotencyKeyDependency,
    response: Response,
    services: ServicesDependency,
    principal: PrincipalDependency,
) -> ReturnRequestedResponse:
    """Request the return of shipped lines. It is approved, received and refunded next.

    Its units are reserved before the response: they cannot be returned twice.
    """
    order = await wait_until_recorded(
        order_id, services, lambda: services.orders.get_order(order_id)
    )
    return_id = get_return_id(order_id, idempotency_key)
    url = _get_url(order_id, return_id)
    response.headers["Location"] = url
    requested = ReturnRequestedResponse(order_id=order_id, return_id=return_id, return_url=url)
    if earlier := await services.returns.get_return(order_id, return_id):
        if earlier.fingerprint != get_fingerprint(request, principal.actor_name(request.actor)):
            raise errors.Problem(registry.IDEMPOTENCY_KEY_REUSED)
        response.headers["Idempotent-Replayed"] = "true"
        return requested
    require_known_lines((line.line_id for line in request.lines), order)
    alert_after = services.settings.step_failure_alert_after
    command = build_return(order_id, return_id, request, principal, alert_after)
    outcome = await services.return_commands.request(command)
    if isinstance(outcome, ReturnRefused):
        raise errors.return_refused(order_id, outcome)
    if outcome.fingerprint != command.fingerprint:
        raise errors.Problem(registry.IDEMPOTENCY_KEY_REUSED)
    return requested


@router.get(
    "/orders/{order_id}/returns",
    operation_id="listReturns",
    summary="List the returns of an order",
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(
        *AUTH_PROBLEMS, registry.INVALID_REQUEST, registry.ORDER_NOT_FOUND, registry.UNAVAILABLE
    ),
)
async def list_returns(order_id: OrderId, services: ServicesDependency) -> ListReturnsResponse:
    """List every return of the order, oldest first."""
    await wait_until_recorded(order_id, services, lambda: services.orders.get_status(order_id))
    returns = await services.returns.list_returns(order_id)
    return ListReturnsResponse(
        order_id=order_id, returns=[Return.model_validate(one.model_dump()) for one in returns]
    )


@router.get(
    "/returns",
    operation_id="listOpenReturns",
    summary="List the open returns of all orders",
    openapi_extra=requires(Scope.ORDERS_OPERATE),
    responses=problem_responses(*AUTH_PROBLEMS, registry.UNAVAILABLE),
)
async def list_open_returns(services: ServicesDependency) -> ListOpenReturnsResponse:
    """List what is requested, approved or received, and failed refunds: at most 500."""
    returns = await services.returns.list_open_returns()
    return ListOpenReturnsResponse(
        returns=[Return.model_validate(one.model_dump()) for one in returns]
    )


@router.get(
    "/orders/{order_id}/returns/{return_id}",
    operation_id="getReturn",
    summary="Get a return",
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(
        *AUTH_PROBLEMS,
        registry.INVALID_REQUEST,
        registry.ORDER_NOT_FOUND,
        registry.RETURN_NOT_FOUND,
        registry.UNAVAILABLE,
    ),
)
async def get_return(
    order_id: OrderId, return_id: ReturnId, services: ServicesDependency
) -> Return:
    """Return a return in its present status."""
    found = await services.returns.get_return(order_id, return_id)
    if found is None:
        raise errors.return_not_found(return_id)
    return Return.model_validate(found.model_dump())


def _add_action(action: ReturnAction, scope: Scope, summary: str, description: str) -> None:
    async def change_return(
        order_id: OrderId,
        return_id: ReturnId,
        services: ServicesDependency,
        principal: PrincipalDependency,
        request: ChangeReturnRequest | None = None,
    ) -> ChangeReturnResponse:
        request = request or ChangeReturnRequest()
        found = await services.returns.get_return(order_id, return_id)
        if found is None:
            raise errors.return_not_found(return_id)
        change = ChangeReturn(
            action=action, actor=principal.actor_name(request.actor), reason=request.reason
        )
        command = rebuild_return(found, services.settings.step_failure_alert_after)
        try:
            changed = await services.return_commands.change(command, change)
        except ReturnChangeRejectedError as error:
            raise errors.return_change_rejected(
                order_id, return_id, error.error_type, error.status
            ) from None
        return ChangeReturnResponse(
            order_id=order_id,
            return_id=return_id,
            return_url=_get_url(order_id, return_id),
            status=changed.status,
        )

    router.add_api_route(
        f"/orders/{{order_id}}/returns/{{return_id}}/{action}",
        change_return,
        methods=["POST"],
        operation_id=f"{action}Return",
        summary=summary,
        description=description,
        dependencies=[Depends(require_json)],
        openapi_extra=requires(scope),
        responses=problem_responses(
            *AUTH_PROBLEMS,
            *BODY_PROBLEMS,
            registry.ORDER_NOT_FOUND,
            registry.RETURN_NOT_FOUND,
            registry.RETURN_STATUS_CONFLICT,
            registry.ORDER_NOT_RETURNABLE,
            registry.REQUEST_REJECTED,
            registry.UNAVAILABLE,
        ),
    )


_add_action(
    ReturnAction.APPROVE,
    Scope.PAYMENTS_REFUND,
    "Approve a return",
    "Approve a requested return. Its goods are awaited next.",
)
_add_action(
    ReturnAction.REJECT,
    Scope.PAYMENTS_REFUND,
    "Reject a return",
    "Reject a requested return. Its units can be returned again.",
)
_add_action(
    ReturnAction.CANCEL,
    Scope.ORDERS_WRITE,
    "Cancel a return",
    "Cancel a return whose goods are not received. Its units can be returned again.",
)
_add_action(
    ReturnAction.RECEIVE,
    Scope.PAYMENTS_REFUND,
    "Receive a return",
    "Record that the goods of an approved return are back. They are refunded next; the response"
    " does not wait for that.",
)


def _get_url(order_id: UUID, return_id: UUID) -> str:
    return f"/orders/{order_id}/returns/{return_id}"
