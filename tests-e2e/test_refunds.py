"""Refunds and payments under review, through the API."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from stack_client import StackClient, eventually
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow


@pytest.fixture(scope="module")
def shipped(stack: StackClient) -> str:
    order_id = stack.start_approved_order()
    stack.wait_for_status(order_id, "shipped")
    return order_id


def _request_refund(
    stack: StackClient, order_id: str, amount_minor: int, key: str
) -> httpx.Response:
    return _send(stack, order_id, key, {"amount_minor": amount_minor, "reason": "broken"})


def _send(stack: StackClient, order_id: str, key: str, body: dict[str, object]) -> httpx.Response:
    """Request a refund; repeat a 503, which an overloaded machine can cause, under the same key."""

    def post() -> httpx.Response | None:
        response = stack.http.post(
            f"{stack.connection_info['gateway']['url']}/orders/{order_id}/refunds",
            json=body,
            headers={"Idempotency-Key": key},
        )
        return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

    return cast("httpx.Response", eventually(post, "the refund is decided"))


def _place_shipped(stack: StackClient, *lines: tuple[str, int, int]) -> str:
    """Place an order of such lines (sku, quantity, unit price), and wait until it is shipped."""
    order_id = stack.start_approved_order(
        lines=[
            {"sku": sku, "quantity": quantity, "unit_price_minor": price}
            for sku, quantity, price in lines
        ]
    )
    stack.wait_for_status(order_id, "shipped")
    return order_id


def _wait_for_payment_status(stack: StackClient, order_id: str, payment_status: str) -> None:
    eventually(
        lambda: stack.get_order(order_id)["payment_status"] == payment_status,
        f"the payment status is {payment_status}",
    )


def _get_events(stack: StackClient, order_id: str) -> list[dict[str, Any]]:
    return list(stack.get(f"/orders/{order_id}/events").json()["events"])


def test_refunds_of_the_whole_total_make_the_order_refunded(stack: StackClient) -> None:
    order_id = _place_shipped(stack, ("A", 1, 10_000))

    assert _request_refund(stack, order_id, 6000, "first").status_code == 202
    _wait_for_payment_status(stack, order_id, "partially_refunded")
    assert _request_refund(stack, order_id, 4000, "second").status_code == 202
    _wait_for_payment_status(stack, order_id, "refunded")

    events = [one for one in _get_events(stack, order_id) if "refund" in one["type"]]
    assert [(one["type"], one["details"]["amount_minor"]) for one in events] == [
        ("refund_requested", 6000),
        ("payment_refunded", 6000),
        ("refund_requested", 4000),
        ("payment_refunded", 4000),
    ]
    assert {one["details"]["reason"] for one in events} == {"broken"}


def test_two_refunds_of_600_of_1000_at_once_are_one_accepted_and_one_conflict(
    stack: StackClient,
) -> None:
    order_id = _place_shipped(stack, ("A", 1, 1000))

    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda key: _request_refund(stack, order_id, 600, key), ["one", "two"])
        )

    assert sorted(one.status_code for one in answers) == [202, 409]
    [conflict] = [one.json() for one in answers if one.status_code == 409]
    assert (conflict["type"], conflict["refundable_minor"]) == ("/problems/refund-too-large", 400)
    _wait_for_payment_status(stack, order_id, "partially_refunded")
    assert [one["amount_minor"] for one in stack.get_refunds(order_id)] == [600]


def test_lines_are_refunded_by_quantity_and_the_rest_with_an_empty_body(
    stack: StackClient,
) -> None:
    order_id = _place_shipped(stack, ("A", 2, 2390), ("B", 1, 500))
    a_unit = {"lines": [{"line_id": "1", "quantity": 1}], "reason": "r"}

    first = _send(stack, order_id, "first", a_unit)
    second = _send(stack, order_id, "second", a_unit)
    third = _send(stack, order_id, "third", a_unit)
    rest = _send(stack, order_id, "rest", {})

    assert [one.status_code for one in (first, second, third, rest)] == [202, 202, 409, 202]
    assert first.json()["lines"] == [{"line_id": "1", "quantity": 1, "amount_minor": 2390}]
    assert rest.json()["amount_minor"] == 500
    _wait_for_payment_status(stack, order_id, "refunded")


def test_a_refund_is_made_once_and_published(stack: StackClient, shipped: str) -> None:
    first = _request_refund(stack, shipped, 1999, "a-return")
    again = _request_refund(stack, shipped, 1999, "a-return")

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    eventually(
        lambda: (
            [one["state"] for one in stack.get(f"/orders/{shipped}/payments").json()["refunds"]]
            == ["refunded"]
        ),
        "the refund is made",
    )
    [payment] = stack.get_payments(shipped)
    assert (payment["state"], payment["refunded_minor"]) == ("charged", 1999)
    assert [one["amount_minor"] for one in stack.get_refunds(shipped)] == [1999]


def test_a_key_that_named_another_refund_is_rejected(stack: StackClient, shipped: str) -> None:
    _request_refund(stack, shipped, 100, "another-return")

    answer = _request_refund(stack, shipped, 200, "another-return")

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-key-reused")


def test_a_refund_of_more_than_is_left_is_rejected(stack: StackClient, shipped: str) -> None:
    answer = _request_refund(stack, shipped, 5998, "too-much")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/refund-too-large")


def test_an_order_that_has_not_shipped_cannot_be_refunded(stack: StackClient) -> None:
    order_id = stack.start_order()
    stack.wait_for_status(order_id, "awaiting_approval")

    answer = _request_refund(stack, order_id, 1, "early")

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/order-not-refundable")
    assert _request_refund(stack, str(uuid4()), 1, "nobody").status_code == 404
    stack.post(f"/orders/{order_id}/signals/cancel")


async def test_reconciliation_runs_on_a_schedule_and_finds_no_discrepancy(
    stack: StackClient, temporal: Client
) -> None:
    order_id = stack.start_approved_order()
    stack.wait_for_status(order_id, "shipped")
    schedule = temporal.get_schedule_handle("reconcile-payments")
    before = (await schedule.describe()).info.num_actions
    await schedule.trigger()

    async with asyncio.timeout(30):
        while (info := (await schedule.describe()).info).num_actions == before:
            await asyncio.sleep(0.1)
    action = info.recent_actions[-1].action
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    compared = await temporal.get_workflow_handle(action.workflow_id).result()

    assert compared["charges"] > 0
    listed = stack.get("/discrepancies").json()["discrepancies"]
    assert [one for one in listed if one["order_id"] == order_id] == []


def test_a_payment_under_review_is_charged_when_the_provider_accepts_it(
    stack: StackClient,
) -> None:
    order_id = stack.start_approved_order(payment_method="pm_under_review")
    [charge] = eventually(lambda: stack.get_charges(order_id), "the provider has the charge")
    eventually(
        lambda: stack.get_payments(order_id)[0]["state"] == "under_review",
        "the payment is under review",
    )

    stack.post_sandbox(f"/psp/charges/{charge['id']}/decide", {"status": "charged"})

    eventually(
        lambda: stack.get_payments(order_id)[0]["state"] == "charged",
        "the webhook has settled it",
    )
    stack.wait_for_status(order_id, "shipped")
    assert len(stack.get_charges(order_id)) == 1
