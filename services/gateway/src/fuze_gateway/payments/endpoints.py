"""Endpoints of payments, refunds and discrepancies."""

import asyncio
from http import HTTPStatus
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from fuze_contracts.money import Money
from fuze_contracts.order import OrderStatus
from fuze_contracts.payment import RefundPayment
from fuze_contracts.read_models import PublishedPayment
from fuze_contracts.workflow_ids import refund_workflow_id
from fuze_gateway.app_services import (
    AppServices,
    IdempotencyKeyDependency,
    PrincipalDependency,
    ServicesDependency,
    require_json,
)
from fuze_gateway.auth.authorization import ScopedRoute, requires
from fuze_gateway.auth.principals import Scope
from fuze_gateway.orders.lookup import wait_until_recorded
from fuze_gateway.payments.commands import build_refund, get_fingerprint
from fuze_gateway.payments.schemas import (
    ListDiscrepanciesResponse,
    ListPaymentsResponse,
    Payment,
    Refund,
    RefundAcceptedResponse,
    RefundOrderRequest,
)
from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.openapi import AUTH_PROBLEMS, BODY_PROBLEMS, problem_responses
from fuze_gateway.types import OrderId

router = APIRouter(route_class=ScopedRoute, tags=["payments"])

_REFUNDABLE = {OrderStatus.SHIPPED, OrderStatus.DELIVERED, OrderStatus.COMPLETED}


@router.get(
    "/orders/{order_id}/payments",
    operation_id="getOrderPayments",
    summary="List the payments of an order",
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(
        *AUTH_PROBLEMS, registry.INVALID_REQUEST, registry.ORDER_NOT_FOUND, registry.UNAVAILABLE
    ),
)
async def list_payments(order_id: OrderId, services: ServicesDependency) -> ListPaymentsResponse:
    """List every charge and every refund of the order, oldest first."""
    await wait_until_recorded(order_id, services, lambda: services.orders.get_status(order_id))
    payments, refunds = await asyncio.gather(
        services.payments.list_payments(order_id), services.payments.list_refunds(order_id)
    )
    return ListPaymentsResponse(
        order_id=order_id,
        payments=[Payment.model_validate(payment.model_dump()) for payment in payments],
        refunds=[Refund.model_validate(refund.model_dump()) for refund in refunds],
    )


@router.post(
    "/orders/{order_id}/refunds",
    operation_id="refundOrder",
    summary="Refund an order",
    status_code=HTTPStatus.ACCEPTED,
    dependencies=[Depends(require_json)],
    openapi_extra=requires(Scope.PAYMENTS_REFUND),
    responses=problem_responses(
        *AUTH_PROBLEMS,
        *BODY_PROBLEMS,
        registry.IDEMPOTENCY_KEY_MISSING,
        registry.IDEMPOTENCY_KEY_REUSED,
        registry.ORDER_NOT_FOUND,
        registry.ORDER_NOT_REFUNDABLE,
        registry.REFUND_TOO_LARGE,
        registry.UNAVAILABLE,
    ),
)
async def refund_order(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    order_id: OrderId,
    request: RefundOrderRequest,
    idempotency_key: IdempotencyKeyDependency,
    response: Response,
    services: ServicesDependency,
    principal: PrincipalDependency,
) -> RefundAcceptedResponse:
    """Refund a shipped order, in full or in part. Its payments show the state of the refund."""
    payment = await _get_charged_payment(order_id, services)
    refundable = Money(
        amount_minor=payment.amount_minor - payment.refunded_minor, currency=payment.currency
    )
    refund = build_refund(payment, idempotency_key, request, principal)
    if await _is_replay(refund, services):
        response.headers["Idempotent-Replayed"] = "true"
    elif request.amount_minor > refundable.amount_minor:
        raise errors.refund_too_large(refundable)
    elif not await services.refund_commands.start(refund):
        await _is_replay(refund, services)  # a concurrent request: the same refund, or a 422
        response.headers["Idempotent-Replayed"] = "true"
    return RefundAcceptedResponse(
        order_id=order_id,
        refund_id=refund.refund_id,
        amount_minor=refund.amount.amount_minor,
        currency=refund.amount.currency,
        payments_url=f"/orders/{order_id}/payments",
    )


@router.get(
    "/discrepancies",
    operation_id="listDiscrepancies",
    summary="List discrepancies",
    openapi_extra=requires(Scope.ORDERS_OPERATE),
    responses=problem_responses(*AUTH_PROBLEMS, registry.UNAVAILABLE),
)
async def list_discrepancies(services: ServicesDependency) -> ListDiscrepanciesResponse:
    """List what payments, shipments and the provider contradict each other in, newest first."""
    return ListDiscrepanciesResponse(discrepancies=await services.payments.list_discrepancies())


async def _get_charged_payment(order_id: UUID, services: AppServices) -> PublishedPayment:
    status = await wait_until_recorded(
        order_id, services, lambda: services.orders.get_status(order_id)
    )
    payments = await services.payments.list_payments(order_id)
    charged = [one for one in payments if one.state == "charged" and one.amount_minor]
    if status not in _REFUNDABLE or not charged:
        raise errors.order_not_refundable(order_id)
    return charged[-1]


async def _is_replay(refund: RefundPayment, services: AppServices) -> bool:
    """Return whether the same refund was started before.

    Raises:
        Problem: the idempotency key was used with a different refund.

    """
    workflow_id = refund_workflow_id(refund.order_id, refund.refund_id)
    earlier = await services.workflows.get_fingerprint(workflow_id)
    if earlier is not None and earlier != get_fingerprint(refund):
        raise errors.Problem(registry.IDEMPOTENCY_KEY_REUSED)
    return earlier is not None
