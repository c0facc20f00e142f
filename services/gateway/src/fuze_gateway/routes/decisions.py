"""What an order decides about while the caller waits: 200 with its new state, or why not."""

from typing import TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends

from fuze_contracts.order import (
    Approval,
    CancelOrder,
    ChangePaymentMethod,
    OrderWorkflow,
    RejectOrder,
    RetryOrder,
    UpdateAddress,
)
from fuze_gateway import problems
from fuze_gateway.commands import RefusedError, Update, address_of
from fuze_gateway.dependencies import Sources, SourcesDependency, require_json
from fuze_gateway.documented import OF_A_BODY, problem_responses
from fuze_gateway.fields import OrderId
from fuze_gateway.routes.unheard import refuse_unheard
from fuze_gateway.schemas import (
    ApproveOrder,
    CancelOrderIn,
    OrderState,
    PaymentMethodIn,
    RejectOrderIn,
    RetryIn,
    UpdateAddressIn,
)

router = APIRouter(
    prefix="/orders/{order_id}",
    tags=["decisions"],
    dependencies=[Depends(require_json)],
    responses=problem_responses(*OF_A_BODY, 404, 409, 503),
)

Request = TypeVar("Request")


@router.post("/approve", operation_id="approveOrder")
async def approve(
    order_id: OrderId, sources: SourcesDependency, request: ApproveOrder | None = None
) -> OrderState:
    """Let the order proceed to payment."""
    approval = Approval(actor=(request or ApproveOrder()).actor)
    return await _decided(order_id, OrderWorkflow.approve_order, approval, sources)


@router.post("/reject", operation_id="rejectOrder")
async def reject(
    order_id: OrderId, sources: SourcesDependency, request: RejectOrderIn | None = None
) -> OrderState:
    """End an order that waits for approval."""
    asked = request or RejectOrderIn()
    rejection = RejectOrder(actor=asked.actor, reason=asked.reason)
    return await _decided(order_id, OrderWorkflow.reject_order, rejection, sources)


@router.post("/cancel", operation_id="cancelOrder")
async def cancel(
    order_id: OrderId, sources: SourcesDependency, request: CancelOrderIn | None = None
) -> OrderState:
    """Stop the order, up to the moment at which its parcel is handed to the carrier.

    Whatever was charged is given back. Where that takes longer, the answer is `cancelling`.
    """
    asked = request or CancelOrderIn()
    cancellation = CancelOrder(actor=asked.actor, reason=asked.reason)
    return await _decided(order_id, OrderWorkflow.cancel_order, cancellation, sources)


@router.put("/address", operation_id="changeAddress")
async def change_address(
    order_id: OrderId, request: UpdateAddressIn, sources: SourcesDependency
) -> OrderState:
    """Send the parcel elsewhere, up to the moment at which it is handed to the carrier."""
    change = UpdateAddress(address=address_of(request.address), actor=request.actor)
    return await _decided(order_id, OrderWorkflow.change_address, change, sources)


@router.put("/payment-method", operation_id="changePaymentMethod")
async def change_payment_method(
    order_id: OrderId, request: PaymentMethodIn, sources: SourcesDependency
) -> OrderState:
    """Offer another way to pay after one was declined; the order is charged again at once."""
    change = ChangePaymentMethod(payment_method=request.payment_method, actor=request.actor)
    return await _decided(order_id, OrderWorkflow.change_payment_method, change, sources)


@router.post("/retry", operation_id="retryOrder")
async def retry(
    order_id: OrderId, sources: SourcesDependency, request: RetryIn | None = None
) -> OrderState:
    """Try the step that needs attention now, without waiting for its next attempt."""
    again = RetryOrder(actor=(request or RetryIn()).actor)
    return await _decided(order_id, OrderWorkflow.retry_step, again, sources)


async def _decided(
    order_id: UUID, update: Update[Request], request: Request, sources: Sources
) -> OrderState:
    try:
        decided = await sources.commands.decide(order_id, update, request)
    except RefusedError as error:
        raise problems.refused(order_id, error.why) from None
    if decided is None:
        await refuse_unheard(order_id, sources)
        raise problems.order_not_found(order_id)
    return OrderState.model_validate(decided.model_dump())
