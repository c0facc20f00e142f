"""Endpoints of payments, refunds and discrepancies."""

import asyncio
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from fuze_contracts.order_states import OrderStatus
from fuze_contracts.payment import RefundRejected
from fuze_contracts.read_models import PublishedPayment
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
from fuze_gateway.orders.order_validation import require_known_lines
from fuze_gateway.payments.commands import build_refund, get_fingerprint, get_refund_id
from fuze_gateway.payments.schemas import (
    LedgerEntry,
    ListDiscrepanciesResponse,
    ListLedgerEntriesResponse,
    ListPaymentsResponse,
    Payment,
    Refund,
    RefundAcceptedResponse,
    RefundLine,
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


@router.get(
    "/orders/{order_id}/ledger",
    operation_id="getOrderLedger",
    summary="List the ledger entries of an order",
    openapi_extra=requires(Scope.ORDERS_READ),
    responses=problem_responses(
        *AUTH_PROBLEMS, registry.INVALID_REQUEST, registry.ORDER_NOT_FOUND, registry.UNAVAILABLE
    ),
)
async def list_ledger_entries(
    order_id: OrderId, services: ServicesDependency
) -> ListLedgerEntriesResponse:
    """List what the ledger has about the order's payments, oldest first.

    Each capture and each refund is a journal entry with two sides, which are equal.
    """
    await wait_until_recorded(order_id, services, lambda: services.orders.get_status(order_id))
    entries = await services.payments.list_ledger_entries(order_id)
    return ListLedgerEntriesResponse(
        order_id=order_id,
        entries=[LedgerEntry.model_validate(entry.model_dump()) for entry in entries],
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
    idempotency_key: IdempotencyKeyDependency,
    response: Response,
    services: ServicesDependency,
    principal: PrincipalDependency,
    request: RefundOrderRequest | None = None,
) -> RefundAcceptedResponse:
    """Refund a shipped order: an amount, lines, or everything that is left.

    The amount is reserved before the response; the order's events show when it is refunded.
    """
    request = request or RefundOrderRequest()
    order = await wait_until_recorded(
        order_id, services, lambda: services.orders.get_order(order_id)
    )
    refund_id = get_refund_id(order_id, idempotency_key)
    if earlier := await services.payments.get_refund(refund_id):
        if earlier.fingerprint != get_fingerprint(request, principal.actor_name(request.actor)):
            raise errors.Problem(registry.IDEMPOTENCY_KEY_REUSED)
        response.headers["Idempotent-Replayed"] = "true"
        return _to_response(
            order_id, refund_id, earlier.amount_minor, earlier.currency, earlier.lines
        )
    require_known_lines((line.line_id for line in request.lines), order)
    payment = await _get_charged_payment(order, services)
    alert_after = services.settings.step_failure_alert_after
    refund = build_refund(order, payment, refund_id, request, principal, alert_after)
    decision = await services.refund_commands.reserve(refund)
    if decision.fingerprint not in {None, refund.fingerprint}:
        raise errors.Problem(registry.IDEMPOTENCY_KEY_REUSED)
    if isinstance(decision, RefundRejected):
        raise errors.refund_rejected(order_id, decision)
    amount = decision.amount
    return _to_response(
        order_id,
        refund_id,
        amount.amount_minor,
        amount.currency,
        [line.model_dump() for line in decision.lines],
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


async def _get_charged_payment(order: dict[str, Any], services: AppServices) -> PublishedPayment:
    order_id: UUID = order["order_id"]
    payments = await services.payments.list_payments(order_id)
    charged = [one for one in payments if one.state == "charged" and one.amount_minor]
    if order["status"] not in _REFUNDABLE or not charged:
        raise errors.order_not_refundable(order_id)
    return charged[-1]


def _to_response(
    order_id: UUID, refund_id: UUID, amount_minor: int, currency: str, lines: list[dict[str, Any]]
) -> RefundAcceptedResponse:
    return RefundAcceptedResponse(
        order_id=order_id,
        refund_id=refund_id,
        amount_minor=amount_minor,
        currency=currency,
        lines=[RefundLine.model_validate(line) for line in lines],
        payments_url=f"/orders/{order_id}/payments",
    )
