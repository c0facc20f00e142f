"""What an order decides about while the caller waits: 200 with its new state, or why not."""

from typing import TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends

from fuze_contracts.order import (
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    ChangePaymentMethod,
    OrderWorkflow,
    RejectOrder,
    RetryOrder,
)
from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.commands import RefusedError, Update, address_of
from fuze_gateway.dependencies import (
    CallerDependency,
    Sources,
    SourcesDependency,
    require_json,
)
from fuze_gateway.documented import OF_A_BODY, OF_A_CALLER, Responses, problem_responses
from fuze_gateway.fields import OrderId
from fuze_gateway.identity.authorization import ScopedRoute, requires
from fuze_gateway.identity.callers import Scope
from fuze_gateway.requests import (
    ApproveOrderBody,
    CancelOrderIn,
    ChangeAddressIn,
    PaymentMethodIn,
    RejectOrderIn,
    RetryIn,
)
from fuze_gateway.routes.unheard import refuse_unheard
from fuze_gateway.schemas import OrderState


def _of_a_decision(*refusals: types.ProblemType) -> Responses:
    return problem_responses(
        *OF_A_CALLER,
        *OF_A_BODY,
        types.ORDER_NOT_FOUND,
        types.ORDER_CLOSED,
        types.UNAVAILABLE,
        *refusals,
    )


router = APIRouter(
    route_class=ScopedRoute,
    prefix="/orders/{order_id}",
    tags=["decisions"],
    dependencies=[Depends(require_json)],
)

Request = TypeVar("Request")


@router.post(
    "/approve",
    operation_id="approveOrder",
    openapi_extra=requires(Scope.ORDERS_APPROVE),
    responses=_of_a_decision(types.ALREADY_APPROVED, types.NOT_AWAITING_APPROVAL),
)
async def approve(
    order_id: OrderId,
    sources: SourcesDependency,
    caller: CallerDependency,
    request: ApproveOrderBody | None = None,
) -> OrderState:
    """Let the order proceed to payment."""
    approval = ApproveOrder(actor=caller.acting_as(request.actor if request else None))
    return await decided(order_id, OrderWorkflow.approve_order, approval, sources)


@router.post(
    "/reject",
    operation_id="rejectOrder",
    openapi_extra=requires(Scope.ORDERS_APPROVE),
    responses=_of_a_decision(types.NOT_AWAITING_APPROVAL),
)
async def reject(
    order_id: OrderId,
    sources: SourcesDependency,
    caller: CallerDependency,
    request: RejectOrderIn | None = None,
) -> OrderState:
    """End an order that waits for approval."""
    asked = request or RejectOrderIn()
    rejection = RejectOrder(actor=caller.acting_as(asked.actor), reason=asked.reason)
    return await decided(order_id, OrderWorkflow.reject_order, rejection, sources)


@router.post(
    "/cancel",
    operation_id="cancelOrder",
    openapi_extra=requires(Scope.ORDERS_WRITE),
    responses=_of_a_decision(types.ALREADY_CANCELLED, types.TOO_LATE_TO_CANCEL),
)
async def cancel(
    order_id: OrderId,
    sources: SourcesDependency,
    caller: CallerDependency,
    request: CancelOrderIn | None = None,
) -> OrderState:
    """Stop the order, up to the moment at which its parcel is handed to the carrier.

    Whatever was charged is given back. Where that takes longer, the answer is `cancelling`.
    """
    asked = request or CancelOrderIn()
    cancellation = CancelOrder(actor=caller.acting_as(asked.actor), reason=asked.reason)
    return await decided(order_id, OrderWorkflow.cancel_order, cancellation, sources)


@router.put(
    "/address",
    operation_id="changeAddress",
    openapi_extra=requires(Scope.ORDERS_WRITE),
    responses=_of_a_decision(
        types.TOO_LATE_TO_CHANGE_ADDRESS, types.ADDRESS_CHANGE_LIMIT, types.ADDRESS_INVALID
    ),
)
async def change_order_address(
    order_id: OrderId,
    request: ChangeAddressIn,
    sources: SourcesDependency,
    caller: CallerDependency,
) -> OrderState:
    """Send the parcel elsewhere, up to the moment at which it is handed to the carrier."""
    change = ChangeAddress(
        address=address_of(request.address), actor=caller.acting_as(request.actor)
    )
    return await decided(order_id, OrderWorkflow.change_order_address, change, sources)


@router.put(
    "/payment-method",
    operation_id="changePaymentMethod",
    openapi_extra=requires(Scope.ORDERS_WRITE),
    responses=_of_a_decision(types.NOT_AWAITING_PAYMENT_METHOD),
)
async def change_payment_method(
    order_id: OrderId,
    request: PaymentMethodIn,
    sources: SourcesDependency,
    caller: CallerDependency,
) -> OrderState:
    """Offer another way to pay after one was declined; the order is charged again at once."""
    change = ChangePaymentMethod(
        payment_method=request.payment_method, actor=caller.acting_as(request.actor)
    )
    return await decided(order_id, OrderWorkflow.change_payment_method, change, sources)


@router.post(
    "/retry",
    operation_id="retryOrder",
    openapi_extra=requires(Scope.ORDERS_OPERATE),
    responses=_of_a_decision(types.NOTHING_TO_RETRY),
)
async def retry(
    order_id: OrderId,
    sources: SourcesDependency,
    caller: CallerDependency,
    request: RetryIn | None = None,
) -> OrderState:
    """Try the step that needs attention now, without waiting for its next attempt."""
    again = RetryOrder(actor=caller.acting_as(request.actor if request else None))
    return await decided(order_id, OrderWorkflow.retry_step, again, sources)


async def decided(
    order_id: UUID, update: Update[Request], request: Request, sources: Sources
) -> OrderState:
    """Have the order decide, and return where it stands then.

    Raises:
        Problem: the order refuses, has ended, or was never placed.
        SourceUnavailableError: it did not answer in time, or cannot be asked.

    """
    try:
        decided = await sources.commands.decide(order_id, update, request)
    except RefusedError as error:
        raise problems.refused(order_id, error.why) from None
    if decided is None:
        await refuse_unheard(order_id, sources)
        raise problems.order_not_found(order_id)
    return OrderState.model_validate(decided.model_dump())
