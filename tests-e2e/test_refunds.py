"""Money back, through the front door."""

import asyncio
from uuid import uuid4

import httpx
import pytest
from running_stack import Stack, eventually
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow


@pytest.fixture(scope="module")
def shipped(stack: Stack) -> str:
    order_id = stack.place()
    stack.approve(order_id)
    stack.wait_for(order_id, "shipped")
    return order_id


def _refund(stack: Stack, order_id: str, amount_minor: int, key: str) -> httpx.Response:
    return stack.http.post(
        f"{stack.facts['gateway']['url']}/orders/{order_id}/refunds",
        json={"amount_minor": amount_minor, "reason": "broken"},
        headers={"Idempotency-Key": key},
    )


def test_a_refund_is_carried_out_and_told_of(stack: Stack, shipped: str) -> None:
    first = _refund(stack, shipped, 1999, "a-return")
    again = _refund(stack, shipped, 1999, "a-return")

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    eventually(
        lambda: (
            [one["state"] for one in stack.get(f"/orders/{shipped}/payments").json()["refunds"]]
            == ["refunded"]
        ),
        "the refund is carried out",
    )
    told = stack.get(f"/orders/{shipped}/payments").json()
    assert [(one["state"], one["refunded_minor"]) for one in told["payments"]] == [
        ("charged", 1999)
    ]
    books = stack.get(f"/psp/refunds?order_id={shipped}", "sandbox").json()["refunds"]
    assert [one["amount_minor"] for one in books] == [1999]


def test_the_same_key_for_another_refund_is_refused(stack: Stack, shipped: str) -> None:
    _refund(stack, shipped, 100, "another-return")

    answer = _refund(stack, shipped, 200, "another-return")

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")


def test_more_than_is_left_is_refused(stack: Stack, shipped: str) -> None:
    answer = _refund(stack, shipped, 5998, "too-much")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/refund-too-large")


def test_an_order_that_has_not_shipped_is_not_refunded(stack: Stack) -> None:
    order_id = stack.place()
    stack.wait_for(order_id, "awaiting_approval")

    answer = _refund(stack, order_id, 1, "early")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/order-not-refundable")
    assert _refund(stack, str(uuid4()), 1, "nobody").status_code == 404
    stack.post(f"/orders/{order_id}/signals/cancel")


async def test_the_books_are_compared_on_a_schedule(stack: Stack, temporal: Client) -> None:
    order_id = stack.place()
    stack.approve(order_id)
    stack.wait_for(order_id, "shipped")
    schedule = temporal.get_schedule_handle("reconcile-payments")
    await schedule.trigger()

    async with asyncio.timeout(30):
        while not (actions := (await schedule.describe()).info.recent_actions):
            await asyncio.sleep(0.1)
    action = actions[-1].action
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    compared = await temporal.get_workflow_handle(action.workflow_id).result()

    assert compared["charges"] >= 1
    listed = stack.get("/payments/discrepancies").json()["discrepancies"]
    assert [one for one in listed if one["order_id"] == order_id] == []


def test_a_payment_under_review_goes_on_when_the_provider_says_so(stack: Stack) -> None:
    order_id = stack.place(payment_method="pm_under_review")
    stack.approve(order_id)
    [held] = eventually(
        lambda: stack.get(f"/psp/charges?order_id={order_id}", "sandbox").json()["charges"],
        "the payment is held",
    )
    eventually(
        lambda: stack.get(f"/orders/{order_id}/payments").json()["payments"][0]["state"] == "held",
        "we know that it is held",
    )

    decide = f"{stack.facts['sandbox']['url']}/psp/charges/{held['id']}/decide"
    stack.http.post(decide, json={"status": "charged"}).raise_for_status()

    eventually(
        lambda: (
            stack.get(f"/orders/{order_id}/payments").json()["payments"][0]["state"] == "charged"
        ),
        "the webhook has settled it",
    )
    stack.wait_for(order_id, "shipped")
    assert len(stack.charges(order_id)) == 1
