"""Orders, many at once."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from fuze_contracts.order import OrderStatus
from fuze_gateway.dependencies import SourcesDependency
from fuze_gateway.documented import problem_responses
from fuze_gateway.schemas import Orders, OrderSummary

router = APIRouter(tags=["orders"])

_WAITING_FOR = {
    "approval": OrderStatus.AWAITING_APPROVAL,
    "payment_method": OrderStatus.AWAITING_PAYMENT_METHOD,
    "address": OrderStatus.AWAITING_ADDRESS,
}


@router.get("/orders", operation_id="listOrders", responses=problem_responses(422, 503))
async def orders(
    sources: SourcesDependency,
    waiting_for: Annotated[
        Literal["approval", "payment_method", "address"] | None,
        Query(description="Only orders that wait for somebody to send this."),
    ] = None,
    needs_attention: Annotated[
        bool | None, Query(description="Only orders of which a step keeps failing, or does not.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Orders:
    """List orders, newest first."""
    status = _WAITING_FOR[waiting_for] if waiting_for else None
    found = await sources.reads.orders(status=status, needs_attention=needs_attention, limit=limit)
    return Orders(orders=[OrderSummary.model_validate(one.model_dump()) for one in found])
