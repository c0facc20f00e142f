"""Money: what was taken for an order, what was given back, what does not add up."""

import asyncio
from http import HTTPStatus
from uuid import NAMESPACE_URL, UUID, uuid5

from fastapi import APIRouter, Depends, Response

from fuze_contracts.money import Money
from fuze_contracts.order import OrderStatus
from fuze_contracts.payment import RefundPayment
from fuze_contracts.read_models import Discrepancy, PublishedPayment
from fuze_contracts.workflow_ids import refund_workflow_id
from fuze_gateway import problem_types as types
from fuze_gateway import problems
from fuze_gateway.commands import refund_fingerprint
from fuze_gateway.dependencies import (
    KeyDependency,
    Sources,
    SourcesDependency,
    require_json,
)
from fuze_gateway.documented import OF_A_BODY, OF_A_CALLER, problem_responses
from fuze_gateway.fields import OrderId
from fuze_gateway.identity.authorization import ScopedRoute, requires
from fuze_gateway.identity.callers import Scope
from fuze_gateway.payment_schemas import (
    Discrepancies,
    Payment,
    Payments,
    Refund,
    RefundAccepted,
    RefundOrder,
)
from fuze_gateway.routes.recorded import when_recorded

router = APIRouter(route_class=ScopedRoute, tags=["payments"])

_REFUNDABLE = {OrderStatus.SHIPPED, OrderStatus.DELIVERED}
_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/refunds")


@router.get(
    "/orders/{order_id}/payments",
    operation_id="getOrderPayments",
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(
        *OF_A_CALLER, types.INVALID_REQUEST, types.ORDER_NOT_FOUND, types.UNAVAILABLE
    ),
)
async def payments(order_id: OrderId, sources: SourcesDependency) -> Payments:
    """Tell of every attempt to charge the order, and of every refund, oldest first."""
    await when_recorded(order_id, sources, lambda: sources.reads.status(order_id))
    charged, refunded = await asyncio.gather(
        sources.reads.payments(order_id), sources.reads.refunds(order_id)
    )
    return Payments(
        order_id=order_id,
        payments=[Payment.model_validate(one.model_dump()) for one in charged],
        refunds=[Refund.model_validate(one.model_dump()) for one in refunded],
    )


@router.post(
    "/orders/{order_id}/refunds",
    operation_id="refundOrder",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(require_json)],
    openapi_extra=requires(Scope.PAYMENTS_REFUND),
    responses=problem_responses(
        *OF_A_CALLER,
        *OF_A_BODY,
        types.IDEMPOTENCY_KEY_MISSING,
        types.IDEMPOTENCY_KEY_REUSED,
        types.ORDER_NOT_FOUND,
        types.ORDER_NOT_REFUNDABLE,
        types.REFUND_TOO_LARGE,
        types.UNAVAILABLE,
    ),
)
async def refund(
    order_id: OrderId,
    request: RefundOrder,
    key: KeyDependency,
    response: Response,
    sources: SourcesDependency,
) -> RefundAccepted:
    """Give money of a shipped order back; what becomes of it is among the order's payments."""
    charged = await _charged_payment(order_id, sources)
    left = charged.amount_minor - charged.refunded_minor
    command = RefundPayment(
        order_id=order_id,
        payment_token=charged.payment_token,
        refund_id=uuid5(_NAMESPACE, f"{order_id}/{key}"),
        amount=Money(amount_minor=request.amount_minor, currency=charged.currency),
        reason=request.reason,
    )
    if await _recognise(command, sources):
        response.headers["Idempotent-Replayed"] = "true"
    elif request.amount_minor > left:
        raise problems.refund_too_large(Money(amount_minor=left, currency=charged.currency))
    elif not await sources.commands.refund(command):
        await _recognise(command, sources)  # somebody was quicker: the same refund, or a 422
        response.headers["Idempotent-Replayed"] = "true"
    return RefundAccepted(
        order_id=order_id,
        refund_id=command.refund_id,
        amount_minor=command.amount.amount_minor,
        currency=command.amount.currency,
        payments_url=f"/orders/{order_id}/payments",
    )


@router.get(
    "/payments/discrepancies",
    operation_id="getPaymentDiscrepancies",
    openapi_extra=requires(Scope.ORDERS_OPERATE),
    responses=problem_responses(*OF_A_CALLER, types.UNAVAILABLE),
)
async def discrepancies(sources: SourcesDependency) -> Discrepancies:
    """List what the provider's books and ours do not agree on, newest first, at most 500."""
    found: list[Discrepancy] = await sources.reads.discrepancies()
    return Discrepancies(discrepancies=found)


async def _charged_payment(order_id: UUID, sources: Sources) -> PublishedPayment:
    status = await when_recorded(order_id, sources, lambda: sources.reads.status(order_id))
    attempts = await sources.reads.payments(order_id)
    charged = [one for one in attempts if one.state == "charged" and one.amount_minor]
    if status not in _REFUNDABLE or not charged:
        raise problems.not_refundable(order_id)
    return charged[-1]


async def _recognise(command: RefundPayment, sources: Sources) -> bool:
    """Say whether this very refund was asked for before.

    Raises:
        Problem: the key was used for another one.

    """
    workflow_id = refund_workflow_id(command.order_id, command.refund_id)
    earlier = await sources.live.fingerprint(workflow_id)
    if earlier is not None and earlier != refund_fingerprint(command):
        raise problems.idempotency_key_reused()
    return earlier is not None
