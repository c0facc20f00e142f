"""Asking an order for a decision, and waiting for it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from stand_in import Serve
from temporalio.client import Client

from fuze_contracts.order import OrderWorkflow, PlaceOrder
from fuze_contracts.shipping import Address
from fuze_contracts.workflow_ids import order_workflow_id

DECISIONS: dict[tuple[str, str], tuple[dict[str, Any], str, str]] = {
    ("POST", "approve"): ({}, "approve by ada", "already-approved"),
    ("POST", "reject"): ({"reason": "no"}, "reject by ada: no", "not-awaiting-approval"),
    ("POST", "cancel"): ({"reason": "no"}, "cancel by ada: no", "too-late-to-cancel"),
    ("PUT", "address"): (
        {"address": {"zip_code": "94105"}},
        "94105 by ada",
        "address-invalid",
    ),
    ("PUT", "payment-method"): (
        {"payment_method": "pm_card_visa"},
        "pm_card_visa by ada",
        "not-awaiting-payment-method",
    ),
    ("POST", "retry"): ({}, "retry by ada", "nothing-to-retry"),
}


async def ask(
    http: httpx.AsyncClient, order_id: UUID, decision: tuple[str, str], actor: str = "ada"
) -> httpx.Response:
    method, name = decision
    body = DECISIONS[decision][0] | {"actor": actor}
    return await http.request(method, f"/orders/{order_id}/{name}", json=body)


async def place(http: httpx.AsyncClient, order_id: UUID) -> None:
    body = {"address": {"zip_code": "10001"}}
    assert (await http.post(f"/orders/{order_id}/start", json=body)).status_code == 202


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda one: one[1])
async def test_the_answer_is_the_orders_new_state(
    gateway: httpx.AsyncClient, order_id: UUID, decision: tuple[str, str]
) -> None:
    await place(gateway, order_id)

    answer = await ask(gateway, order_id, decision)

    assert answer.status_code == 200
    assert answer.json() == {
        "order_id": str(order_id),
        "status": "awaiting_approval",
        "payment_status": "none",
        "last_seq": 2,
        "reason": DECISIONS[decision][1],  # the stand-in says there what it heard
        "tracking_number": None,
        "needs_attention": False,
    }


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda one: one[1])
async def test_a_refusal_says_why(
    gateway: httpx.AsyncClient, order_id: UUID, decision: tuple[str, str]
) -> None:
    await place(gateway, order_id)

    answer = await ask(gateway, order_id, decision, actor="nobody")

    assert answer.status_code == (422 if decision[1] == "address" else 409)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems/{DECISIONS[decision][2]}"


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda one: one[1])
async def test_an_order_nobody_placed_decides_nothing(
    gateway: httpx.AsyncClient, order_id: UUID, decision: tuple[str, str]
) -> None:
    answer = await ask(gateway, order_id, decision)

    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/order-not-found")


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda one: one[1])
async def test_without_temporal_nothing_is_decided(
    without_temporal: httpx.AsyncClient, order_id: UUID, decision: tuple[str, str]
) -> None:
    answer = await ask(without_temporal, order_id, decision)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("name", ["approve", "reject", "cancel", "retry"])
async def test_a_decision_that_needs_no_body_takes_none(
    gateway: httpx.AsyncClient, order_id: UUID, name: str
) -> None:
    await place(gateway, order_id)

    assert (await gateway.post(f"/orders/{order_id}/{name}")).status_code == 200


async def test_a_decision_that_no_worker_makes_is_asked_for_again(
    serve: Serve, temporal: Client, order_id: UUID
) -> None:
    order = PlaceOrder(
        order_id=order_id,
        address=Address(zip_code="10001"),
        fingerprint="none",
        payment_token=f"{order_id}:1",
    )
    await temporal.start_workflow(
        OrderWorkflow.run, order, id=order_workflow_id(order_id), task_queue="nobody-is-here"
    )
    async with serve(read_timeout=timedelta(seconds=0.3)) as http:
        answers = [
            await http.post(f"/orders/{order_id}/approve"),
            await http.put(f"/orders/{order_id}/address", json={"address": {"zip_code": "1"}}),
        ]

    assert [answer.status_code for answer in answers] == [503, 503]
    assert all(answer.headers["retry-after"] for answer in answers)
