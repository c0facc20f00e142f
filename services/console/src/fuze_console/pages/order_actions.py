"""What can be done to an order, or to one of its returns: a dialog, then the API's answer."""

import secrets
from decimal import Decimal, InvalidOperation
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.datastructures import FormData
from starlette.responses import Response

from fuze_client import AsyncFuzeClient
from fuze_client.models import Payment
from fuze_client.requests import CompleteAddressRequest, LineQuantity
from fuze_console.context import (
    ClientDependency,
    ServicesDependency,
    SessionDependency,
    require_same_session,
)
from fuze_console.pages.answers import answer, find_action, get_text
from fuze_console.states import ACTIONS, RETURN_ACTIONS
from fuze_contracts.money import CURRENCY_EXPONENTS

router = APIRouter()

Then = Literal["continue", "cancel"]
"""What a recovered order does next."""

_ADDRESS_FIELDS = {
    "name": "Name",
    "company": "Company",
    "line1": "Address line 1",
    "line2": "Address line 2",
    "postal_code": "Postal code",
    "city": "City",
    "region": "Region",
    "country": "Country, two letters",
    "phone": "Phone",
    "email": "E-mail",
}


@router.get("/orders/{order_id}/actions/{name}")
async def confirm_action(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    request: Request,
    order_id: UUID,
    name: str,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Show what the action does, and let it be confirmed."""
    action = find_action(ACTIONS, name)
    order = await client.orders.get(order_id)
    payments: list[Payment] = []
    if name == "refund":
        payments = (await client.payments.list(order_id)).payments
    return services.renderer.render(
        request,
        "action.html",
        session=session,
        action=action,
        url=request.url.path,
        order=order,
        goods=None,
        refundable=sum(
            one.amount_minor - one.refunded_minor for one in payments if one.state == "charged"
        ),
        address_fields=_ADDRESS_FIELDS,
        idempotency_key=secrets.token_urlsafe(16),
    )


@router.post("/orders/{order_id}/actions/{name}", dependencies=[Depends(require_same_session)])
async def run_action(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    request: Request,
    order_id: UUID,
    name: str,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Send the command, and show what the gateway answered."""
    action, form = find_action(ACTIONS, name), await request.form()
    command = _send(client, order_id, name, form, session.actor)
    return await answer(
        request, services, session, action=action, command=command, back=_to_order(order_id)
    )


@router.get("/orders/{order_id}/returns/{return_id}/actions/{name}")
async def confirm_return_action(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    request: Request,
    order_id: UUID,
    return_id: UUID,
    name: str,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Show what the action does to the return, and let it be confirmed."""
    return services.renderer.render(
        request,
        "action.html",
        session=session,
        action=find_action(RETURN_ACTIONS, name),
        url=request.url.path,
        order=await client.orders.get(order_id),
        goods=await client.returns.get(order_id, return_id),
    )


@router.post(
    "/orders/{order_id}/returns/{return_id}/actions/{name}",
    dependencies=[Depends(require_same_session)],
)
async def run_return_action(  # noqa: PLR0913, PLR0917 - FastAPI passes each by its name
    request: Request,
    order_id: UUID,
    return_id: UUID,
    name: str,
    services: ServicesDependency,
    session: SessionDependency,
    client: ClientDependency,
) -> Response:
    """Change the return, and show what the gateway answered."""
    action, form = find_action(RETURN_ACTIONS, name), await request.form()
    commands = {
        "approve": client.returns.approve,
        "receive": client.returns.receive,
        "reject": client.returns.reject,
        "cancel": client.returns.cancel,
    }
    reason = get_text(form, "reason")
    command = commands[name](order_id, return_id, reason=reason, actor=session.actor)
    return await answer(
        request, services, session, action=action, command=command, back=_to_order(order_id)
    )


def _to_order(order_id: UUID) -> tuple[str, str]:
    return "To the order", f"/orders/{order_id}"


async def _send(  # noqa: PLR0911 - one for each command
    client: AsyncFuzeClient, order_id: UUID, name: str, form: FormData, actor: str | None
) -> BaseModel:
    """Send the command of this name to the order."""
    orders, reason = client.orders, get_text(form, "reason")
    match name:
        case "approve":
            return await orders.approve(order_id, actor=actor)
        case "reject":
            return await orders.reject(order_id, reason=reason, actor=actor)
        case "retry":
            return await orders.retry(order_id, actor=actor)
        case "recover":
            then: Then = "cancel" if form.get("then") == "cancel" else "continue"
            return await orders.recover(order_id, then=then, reason=reason, actor=actor)
        case "address":
            given = {field: get_text(form, field) for field in _ADDRESS_FIELDS}
            fields = {field: text for field, text in given.items() if text}
            address = CompleteAddressRequest.model_validate({"country": ""} | fields)
            return await orders.change_address(order_id, address, actor=actor)
        case "payment-method":
            method = get_text(form, "payment_method") or ""
            return await orders.change_payment_method(order_id, method, actor=actor)
        case "refund":
            return await _refund(client, order_id, form, actor)
        case "return":
            return await client.returns.request(
                order_id,
                _get_lines(form),
                include_shipping=form.get("include_shipping") == "true",
                reason=reason,
                actor=actor,
                idempotency_key=get_text(form, "idempotency_key"),
            )
        case _:
            return await orders.cancel(order_id, reason=reason, actor=actor)


async def _refund(
    client: AsyncFuzeClient, order_id: UUID, form: FormData, actor: str | None
) -> BaseModel:
    """Refund everything that is left, or lines, or an amount."""
    mode = form.get("mode")
    return await client.payments.refund(
        order_id,
        amount_minor=_parse_amount(form) if mode == "amount" else None,
        lines=_get_lines(form) if mode == "lines" else None,
        include_shipping=mode == "lines" and form.get("include_shipping") == "true",
        reason=get_text(form, "reason"),
        actor=actor,
        idempotency_key=get_text(form, "idempotency_key"),
    )


def _get_lines(form: FormData) -> list[LineQuantity]:
    quantities = {
        field.removeprefix("quantity:"): int(value)
        for field, value in form.items()
        if field.startswith("quantity:") and isinstance(value, str) and value.isdecimal()
    }
    return [
        LineQuantity(line_id=line_id, quantity=quantity)
        for line_id, quantity in quantities.items()
        if quantity
    ]


def _parse_amount(form: FormData) -> int:
    """Return the amount in minor units; 0, which the API refuses, where it is none."""
    exponent = CURRENCY_EXPONENTS.get(get_text(form, "currency") or "", 0)
    try:
        amount = Decimal(get_text(form, "amount") or "0").scaleb(exponent)
        return int(amount) if amount == int(amount) else 0
    except (InvalidOperation, OverflowError, ValueError):
        return 0
