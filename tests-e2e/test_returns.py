"""Returns through the API, from the request to the refund at the provider."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import httpx
import pytest
from stack_client import StackClient, eventually

_LINES = [
    {"sku": "TEAPOT-1", "quantity": 3, "unit_price_minor": 1999},
    {"sku": "CUP-1", "quantity": 1, "unit_price_minor": 500},
]


@pytest.fixture
def shipped(stack: StackClient) -> str:
    """A shipped order of three teapots for 19.99 USD each, and a cup for 5.00 USD."""
    order_id = stack.start_approved_order(lines=_LINES)
    stack.wait_for_status(order_id, "shipped")
    return order_id


@pytest.fixture
def paused_provider(stack: StackClient) -> Iterator[StackClient]:
    """The stack, of which the provider's answers can be paused."""
    yield stack
    stack.configure_sandbox("psp")


def _request_return(
    stack: StackClient, order_id: str, quantity: int, key: str = "a-return"
) -> httpx.Response:
    """Request a return; repeat a 503, which an overloaded machine can cause, under the same key."""

    def post() -> httpx.Response | None:
        response = stack.http.post(
            f"{stack.connection_info['gateway']['url']}/orders/{order_id}/returns",
            json={"lines": [{"line_id": "1", "quantity": quantity}], "reason": "does not fit"},
            headers={"Idempotency-Key": key},
        )
        return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

    return cast("httpx.Response", eventually(post, "the return is decided"))


def _approve_and_receive(stack: StackClient, order_id: str) -> str:
    """Request, approve and receive the return of two teapots; return the URL of the return."""
    requested = _request_return(stack, order_id, 2)
    assert requested.status_code == 201, requested.text
    url = str(requested.json()["return_url"])
    for action, status in (("approve", "approved"), ("receive", "received")):
        answer = stack.post(f"{url}/{action}", {"actor": "grace"})
        assert (answer.status_code, answer.json().get("status")) == (200, status), answer.text
    return url


def _wait_until_refunded(stack: StackClient, url: str) -> dict[str, Any]:
    def find_refunded() -> dict[str, Any] | None:
        found: dict[str, Any] = stack.get(url).json()
        return found if found["status"] == "refunded" else None

    refunded: dict[str, Any] = eventually(find_refunded, "the return is refunded")
    return refunded


def test_a_return_is_refunded_at_the_provider_when_its_goods_are_back(
    stack: StackClient, shipped: str
) -> None:
    refunded = _wait_until_refunded(stack, _approve_and_receive(stack, shipped))

    assert (refunded["amount_minor"], refunded["currency"]) == (3998, "USD")
    assert [one["amount_minor"] for one in stack.get_refunds(shipped)] == [3998]
    assert stack.get_status(shipped)["payment_status"] == "partially_refunded"
    assert [one for one in stack.get_event_types(shipped) if one.startswith("return_")] == [
        *("return_requested", "return_approved", "return_received", "return_refunded"),
    ]


@pytest.mark.parametrize(
    # Without a response the refund's attempt takes 30 s, until it is retried elsewhere.
    "service",
    ["order", pytest.param("payment", marks=pytest.mark.proof)],
)
def test_a_worker_killed_between_receipt_and_refund_refunds_a_return_once(
    paused_provider: StackClient, shipped: str, service: str
) -> None:
    stack = paused_provider
    stack.pause_requests("psp", "after_write")
    url = _approve_and_receive(stack, shipped)
    stack.wait_for_paused_request("psp")

    stack.kill(service)
    stack.configure_sandbox("psp")
    stack.run("restart", service)

    _wait_until_refunded(stack, url)
    assert [one["amount_minor"] for one in stack.get_refunds(shipped)] == [3998]
    assert stack.get_event_types(shipped).count("return_refunded") == 1


def test_of_two_returns_of_the_same_units_at_once_one_is_a_conflict(
    stack: StackClient, shipped: str
) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda key: _request_return(stack, shipped, 2, key), ["one", "two"])
        )

    assert sorted(one.status_code for one in answers) == [201, 409]
    [conflict] = [one.json() for one in answers if one.status_code == 409]
    assert (conflict["type"], conflict["returnable"]) == ("/problems/return-too-large", 1)


def test_units_of_a_return_are_not_refunded_again(stack: StackClient, shipped: str) -> None:
    _wait_until_refunded(stack, _approve_and_receive(stack, shipped))

    refund = stack.http.post(
        f"{stack.connection_info['gateway']['url']}/orders/{shipped}/refunds",
        json={"lines": [{"line_id": "1", "quantity": 2}]},
        headers={"Idempotency-Key": "a-refund"},
    )

    assert (refund.status_code, refund.json()["type"]) == (409, "/problems/refund-too-large")


@pytest.mark.parametrize(
    ("refund", "returned_minor"),
    [
        ({"amount_minor": 1}, 5996),
        ({"lines": [{"line_id": "1", "quantity": 1}]}, 3998),
        ({}, 0),
    ],
    ids=["an amount", "a unit", "everything"],
)
def test_what_was_refunded_without_a_return_is_left_out_of_its_refund(
    stack: StackClient, refund: dict[str, Any], returned_minor: int
) -> None:
    order_id = stack.start_approved_order(lines=_LINES[:1])
    stack.wait_for_status(order_id, "shipped")
    requested = _request_return(stack, order_id, 3)
    url = requested.json()["return_url"]
    stack.post(f"{url}/approve")
    accepted = stack.http.post(
        f"{stack.connection_info['gateway']['url']}/orders/{order_id}/refunds",
        json=refund,
        headers={"Idempotency-Key": "beside-the-return"},
    )
    assert accepted.status_code == 202, accepted.text

    stack.post(f"{url}/receive")

    assert _wait_until_refunded(stack, url)["amount_minor"] == returned_minor
    eventually(
        lambda: stack.get_order(order_id)["payment_status"] == "refunded",
        "everything is refunded",
    )
    assert sum(one["amount_minor"] for one in stack.get_refunds(order_id)) == 5997
    assert not stack.get_status(order_id)["needs_attention"]


def test_an_order_that_is_not_shipped_takes_no_return(stack: StackClient) -> None:
    order_id = stack.start_order(lines=_LINES)
    stack.wait_for_status(order_id, "awaiting_approval")

    answer = _request_return(stack, order_id, 1)

    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/order-not-returnable")
    stack.post(f"/orders/{order_id}/signals/cancel")
