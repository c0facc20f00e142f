"""Returns through the API, from the request to the refund at the provider."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from stack_client import StackClient, eventually

from fuze_client import ProblemError
from fuze_client.models import Return
from fuze_client.requests import LineQuantity

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
) -> UUID:
    lines = [LineQuantity(line_id="1", quantity=quantity)]
    return stack.api.returns.request(
        order_id, lines, reason="does not fit", idempotency_key=key
    ).return_id


def _approve_and_receive(stack: StackClient, order_id: str) -> UUID:
    """Request, approve and receive the return of two teapots; return its id."""
    returns = stack.api.returns
    return_id = _request_return(stack, order_id, 2)
    assert returns.approve(order_id, return_id, actor="grace").status == "approved"
    assert returns.receive(order_id, return_id, actor="grace").status == "received"
    return return_id


def _wait_until_refunded(stack: StackClient, order_id: str, return_id: UUID) -> Return:
    def find_refunded() -> Return | None:
        found = stack.api.returns.get(order_id, return_id)
        return found if found.status == "refunded" else None

    refunded: Return = eventually(find_refunded, "the return is refunded")
    return refunded


def test_a_return_is_refunded_at_the_provider_when_its_goods_are_back(
    stack: StackClient, shipped: str
) -> None:
    refunded = _wait_until_refunded(stack, shipped, _approve_and_receive(stack, shipped))

    assert (refunded.amount_minor, refunded.currency) == (3998, "USD")
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
    return_id = _approve_and_receive(stack, shipped)
    stack.wait_for_paused_request("psp")

    stack.kill(service)
    stack.configure_sandbox("psp")
    stack.run("restart", service)

    _wait_until_refunded(stack, shipped, return_id)
    assert [one["amount_minor"] for one in stack.get_refunds(shipped)] == [3998]
    assert stack.get_event_types(shipped).count("return_refunded") == 1


def test_of_two_returns_of_the_same_units_at_once_one_is_a_conflict(
    stack: StackClient, shipped: str
) -> None:
    def attempt(key: str) -> UUID | ProblemError:
        try:
            return _request_return(stack, shipped, 2, key)
        except ProblemError as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(attempt, ["one", "two"]))

    [conflict] = [one for one in results if isinstance(one, ProblemError)]
    assert (conflict.code, conflict.extensions["returnable"]) == ("return-too-large", 1)


def test_units_of_a_return_are_not_refunded_again(stack: StackClient, shipped: str) -> None:
    _wait_until_refunded(stack, shipped, _approve_and_receive(stack, shipped))

    with pytest.raises(ProblemError) as caught:
        stack.api.payments.refund(shipped, lines=[LineQuantity(line_id="1", quantity=2)])

    assert caught.value.code == "refund-too-large"


@pytest.mark.parametrize(
    ("refund", "returned_minor"),
    [
        ({"amount_minor": 1}, 5996),
        ({"lines": [LineQuantity(line_id="1", quantity=1)]}, 3998),
        ({}, 0),
    ],
    ids=["an amount", "a unit", "everything"],
)
def test_what_was_refunded_without_a_return_is_left_out_of_its_refund(
    stack: StackClient, refund: dict[str, Any], returned_minor: int
) -> None:
    order_id = stack.start_approved_order(lines=_LINES[:1])
    stack.wait_for_status(order_id, "shipped")
    return_id = _request_return(stack, order_id, 3)
    stack.api.returns.approve(order_id, return_id)
    stack.api.payments.refund(order_id, **refund)

    stack.api.returns.receive(order_id, return_id)

    assert _wait_until_refunded(stack, order_id, return_id).amount_minor == returned_minor
    eventually(
        lambda: stack.get_order(order_id)["payment_status"] == "refunded",
        "everything is refunded",
    )
    assert sum(one["amount_minor"] for one in stack.get_refunds(order_id)) == 5997
    assert not stack.get_status(order_id)["needs_attention"]


def test_an_order_that_is_not_shipped_takes_no_return(stack: StackClient) -> None:
    order_id = stack.start_order(lines=_LINES)
    stack.wait_for_status(order_id, "awaiting_approval")

    with pytest.raises(ProblemError) as caught:
        _request_return(stack, order_id, 1)

    assert caught.value.code == "order-not-returnable"
    stack.api.orders.cancel(order_id)
