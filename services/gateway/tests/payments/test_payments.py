"""Payments and refunds of an order, as far as they are decided without the payment service."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
from gateway_harness import Record

from fuze_contracts.read_models import PublishedPayment
from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.auth.principals import ALL_SCOPES, Principal
from fuze_gateway.payments.commands import build_refund, get_fingerprint, get_refund_id
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


async def test_the_ledger_of_an_order_has_both_sides_of_each_entry_oldest_first(
    gateway: httpx.AsyncClient, shipped: UUID, postgres: EmbeddedPostgres
) -> None:
    before = await gateway.get(f"/orders/{shipped}/ledger")
    connection = await asyncpg.connect(postgres.dsn)
    payment_id = await connection.fetchval(
        "SELECT id FROM payments.payments WHERE order_id = $1", shipped
    )
    refund_id = uuid4()
    insert = (
        "INSERT INTO payments.ledger_entries"
        " (journal_id, payment_id, account, debit_minor, credit_minor, currency) VALUES"
        " ($1, $2, $3, $5, 0, 'USD'), ($1, $2, $4, 0, $5, 'USD')"
    )
    await connection.execute(insert, payment_id, payment_id, "provider", "sales", 5997)
    await connection.execute(insert, refund_id, payment_id, "sales", "provider", 1999)
    await connection.close()

    entries = (await gateway.get(f"/orders/{shipped}/ledger")).json()["entries"]

    assert before.json() == {"order_id": str(shipped), "entries": []}
    assert [
        (one["journal_id"], one["account"], one["debit_minor"], one["credit_minor"])
        for one in entries
    ] == [
        (str(payment_id), "provider", 5997, 0),
        (str(payment_id), "sales", 0, 5997),
        (str(refund_id), "sales", 1999, 0),
        (str(refund_id), "provider", 0, 1999),
    ]


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


@pytest.mark.parametrize(
    "selection",
    [{"lines": []}, {"include_shipping": False}, {"amount_minor": None}],
    ids=["lines", "shipping", "amount"],
)
async def test_a_selection_of_nothing_does_not_refund_everything(
    gateway: httpx.AsyncClient, order_id: UUID, selection: dict[str, object]
) -> None:
    response = await refund(gateway, order_id, {"reason": "a variable was empty"} | selection)

    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    assert "selects nothing" in response.text


async def test_a_refund_of_a_line_that_the_order_does_not_have_is_invalid(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    response = await refund(gateway, shipped, {"lines": [{"line_id": "8", "quantity": 1}]})

    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error["loc"] == ["body", "lines", 0, "line_id"]


async def test_payments_are_unavailable_without_postgresql(
    without_database: httpx.AsyncClient, order_id: UUID
) -> None:
    for path in (f"/orders/{order_id}/payments", f"/orders/{order_id}/ledger", "/discrepancies"):
        assert (await without_database.get(path)).status_code == 503


async def test_a_refund_of_an_amount_is_accepted_with_the_amount(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    response = await refund(gateway, shipped, REFUND)

    accepted = response.json()
    assert response.status_code == 202
    assert (accepted["amount_minor"], accepted["currency"]) == (1999, "USD")
    assert accepted["payments_url"] == f"/orders/{shipped}/payments"


async def test_a_refund_of_lines_is_accepted_with_the_amount_of_each_line(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    body = {"lines": [{"line_id": "1", "quantity": 2}], "reason": "two were broken"}

    response = await refund(gateway, shipped, body)

    assert response.status_code == 202
    assert response.json()["amount_minor"] == 3998
    assert response.json()["lines"] == [{"line_id": "1", "quantity": 2, "amount_minor": 3998}]


@pytest.mark.parametrize("body", [None, {}], ids=["no body", "empty body"])
async def test_without_a_body_everything_is_refunded(
    gateway: httpx.AsyncClient, shipped: UUID, body: dict[str, object] | None
) -> None:
    headers = {"Idempotency-Key": "everything"}

    response = await gateway.post(f"/orders/{shipped}/refunds", json=body, headers=headers)

    assert (response.status_code, response.json()["amount_minor"]) == (202, 5997)


async def test_a_refund_that_is_too_large_is_a_conflict_that_says_what_is_left(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    response = await refund(gateway, shipped, {"amount_minor": 5998})

    problem = response.json()
    assert (response.status_code, problem["type"]) == (409, "/problems/refund-too-large")
    assert (problem["refundable_minor"], problem["currency"]) == (5997, "USD")
    assert "59.97 USD" in problem["detail"]


async def test_a_refund_without_an_answer_of_the_payment_service_is_unavailable(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    response = await refund(gateway, shipped, {"reason": "STUCK"})

    assert (response.status_code, response.json()["type"]) == (503, "/problems/unavailable")
    assert response.headers["Retry-After"]


async def test_a_key_of_an_open_refund_is_not_used_for_another(
    gateway: httpx.AsyncClient, shipped: UUID
) -> None:
    first = await refund(gateway, shipped, {"reason": "OPEN"})
    again = await refund(gateway, shipped, {"reason": "OPEN"})
    other = await refund(gateway, shipped, {"reason": "OPEN", "amount_minor": 1})

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


@pytest.mark.parametrize(
    "body",
    [
        {"amount_minor": 1, "lines": [{"line_id": "1", "quantity": 1}]},
        {"amount_minor": 1, "include_shipping": True},
        {"lines": [{"line_id": "1", "quantity": 1}, {"line_id": "1", "quantity": 1}]},
        {"lines": [{"line_id": "1", "quantity": 0}]},
    ],
    ids=["amount and lines", "amount and shipping", "a line twice", "nothing of a line"],
)
async def test_a_refund_is_of_an_amount_or_of_each_line_once(
    gateway: httpx.AsyncClient, order_id: UUID, body: dict[str, object]
) -> None:
    response = await refund(gateway, order_id, body)

    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")


async def test_a_recorded_refund_is_replayed_without_temporal(
    without_temporal: httpx.AsyncClient, shipped: UUID, postgres: EmbeddedPostgres
) -> None:
    request = RefundOrderRequest(amount_minor=1999, reason="broken")
    connection = await asyncpg.connect(postgres.dsn)
    await connection.execute(
        "INSERT INTO payments.refunds (id, payment_id, amount_minor, actor, fingerprint, state)"
        " SELECT $1, id, 1999, 'unknown', $2, 'created' FROM payments.payments"
        " WHERE order_id = $3",
        *(get_refund_id(shipped, "refund-1"), get_fingerprint(request, "unknown"), shipped),
    )
    await connection.close()

    again = await refund(without_temporal, shipped, {"amount_minor": 1999, "reason": "broken"})
    other = await refund(without_temporal, shipped, {"amount_minor": 1999, "reason": "late"})

    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (202, "true")
    assert again.json()["amount_minor"] == 1999
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")


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

    built = build_refund({"lines": []}, payment, UUID(int=2), request, principal, timedelta(1))

    assert built.actor == "grace via shop"
