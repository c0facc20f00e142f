"""Payments and refunds of an order, as far as they are decided without the payment service."""

from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from gateway_harness import Record

from fuze_contracts.read_models import PublishedPayment
from fuze_gateway.auth.principals import ALL_SCOPES, Principal
from fuze_gateway.payments.commands import build_refund
from fuze_gateway.payments.schemas import RefundOrderRequest

REFUND = {"amount_minor": 1999, "reason": "one teapot was broken"}


async def refund(
    http: httpx.AsyncClient, order_id: UUID, body: dict[str, object], key: str = "refund-1"
) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return await http.post(f"/orders/{order_id}/refunds", json=body, headers=headers)


async def test_an_order_without_a_charge_has_no_payments_and_no_refunds(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID
) -> None:
    await record(order_id)

    response = await gateway.get(f"/orders/{order_id}/payments")

    assert response.json() == {"order_id": str(order_id), "payments": [], "refunds": []}


@pytest.mark.parametrize("status", ["awaiting_approval", "shipped"])
async def test_an_order_without_a_charge_is_not_refundable(
    gateway: httpx.AsyncClient, record: Record, order_id: UUID, status: str
) -> None:
    await record(order_id, status=status)

    response = await refund(gateway, order_id, REFUND)

    assert (response.status_code, response.json()["type"]) == (
        409,
        "/problems/order-not-refundable",
    )


async def test_a_refund_of_an_unknown_order_is_not_found(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    response = await refund(gateway, order_id, REFUND)

    assert (response.status_code, response.json()["type"]) == (404, "/problems/order-not-found")


async def test_a_refund_without_an_idempotency_key_is_rejected(
    gateway: httpx.AsyncClient, order_id: UUID
) -> None:
    response = await gateway.post(f"/orders/{order_id}/refunds", json=REFUND)

    assert (response.status_code, response.json()["type"]) == (
        400,
        "/problems/idempotency-key-missing",
    )


@pytest.mark.parametrize(
    "changes",
    [{"amount_minor": 0}, {"amount_minor": -1}, {"amount_minor": 19.99}, {"reason": ""}],
    ids=str,
)
async def test_an_invalid_refund_is_rejected(
    gateway: httpx.AsyncClient, order_id: UUID, changes: dict[str, object]
) -> None:
    response = await refund(gateway, order_id, REFUND | changes)

    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")


async def test_payments_are_unavailable_without_postgresql(
    without_database: httpx.AsyncClient, order_id: UUID
) -> None:
    for path in (f"/orders/{order_id}/payments", "/discrepancies"):
        assert (await without_database.get(path)).status_code == 503


def test_a_refund_names_the_caller_and_the_person_on_whose_behalf_it_acts(order_id: UUID) -> None:
    payment = PublishedPayment(
        payment_id=UUID(int=1),
        order_id=order_id,
        payment_token=f"{order_id}:1",
        state="charged",
        amount_minor=5997,
        currency="USD",
        payment_method="pm_card_visa",
        provider_reference="ch_1",
        decline_code=None,
        refunded_minor=0,
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
    )
    principal = Principal(name="shop", id="api-key:shop", scopes=ALL_SCOPES)
    request = RefundOrderRequest(amount_minor=1999, reason="broken", actor="grace")

    assert build_refund(payment, "refund-1", request, principal).actor == "grace via shop"
