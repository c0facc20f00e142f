"""Each inconsistency between a return, its requests, events and refund is found."""

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from fuze_chaos.checker.order_invariants import nothing_unresolved
from fuze_chaos.checker.return_invariants import returns_match_order
from fuze_chaos.snapshots.records import OrderRecords, RequestRecord

_RETURN = UUID(int=7)
_LINES = json.dumps([{"line_id": "1", "quantity": 2}])
_COURSE = ("requested", "approved", "received", "refunded")
_REQUESTS = ("return", "return-approve", "return-receive")


def _request(operation: str) -> RequestRecord:
    body = {"return_id": str(_RETURN)}
    return RequestRecord(operation, 0, None, is_key_reuse=False, status=200, body=body)


def _events(*statuses: str) -> list[dict[str, Any]]:
    details = json.dumps({"return_id": str(_RETURN)})
    return [
        {"type": "order_shipped", "details": None},
        *({"type": f"return_{status}", "details": details} for status in statuses),
    ]


def returned() -> OrderRecords:
    """An order of three units of which two were returned, and refunded with 200."""
    return OrderRecords(
        "an-order",
        row={
            "lines": json.dumps([{"line_id": "1", "quantity": 3}]),
            "total_minor": 349,
            "shipping_minor": 49,
        },
        events=_events(*_COURSE),
        returns=[
            {"return_id": _RETURN, "status": "refunded", "lines": _LINES, "amount_minor": 200}
        ],
        refunds=[{"refund_id": _RETURN, "state": "refunded", "lines": _LINES, "amount_minor": 200}],
        requests=[_request(operation) for operation in _REQUESTS],
    )


def _in_status(status: str, *course: str) -> Callable[[OrderRecords], object]:
    def change(order: OrderRecords) -> None:
        order.returns[0] |= {"status": status, "amount_minor": None}
        order.events = _events(*course)
        if status == "refund_failed":
            order.events.insert(-1, {"type": "refund_failed", "details": None})
        order.refunds = []
        order.requests = [_request("return")]

    return change


def test_a_return_that_is_consistent_violates_nothing() -> None:
    assert list(returns_match_order(returned())) == []


@pytest.mark.parametrize(
    ("status", "course"),
    [
        ("rejected", ("requested", "rejected")),
        ("cancelled", ("requested", "cancelled")),
        ("cancelled", ("requested", "approved", "cancelled")),
        ("refund_failed", ("requested", "approved", "received", "refund_failed")),
    ],
    ids=["rejected", "cancelled", "cancelled after its approval", "refund failed"],
)
def test_a_return_that_ended_otherwise_is_consistent(status: str, course: tuple[str, ...]) -> None:
    order = returned()
    _in_status(status, *course)(order)

    assert list(returns_match_order(order)) == []
    assert list(nothing_unresolved(order)) == []


@pytest.mark.parametrize(
    ("mutate", "found"),
    [
        (lambda order: order.returns.clear(), "the return is missing"),
        (
            lambda order: order.requests.append(_request("return-reject")),
            "return-reject was accepted, but the return is refunded",
        ),
        (lambda order: order.events.pop(2), "return_received of a return that is requested"),
        (lambda order: order.events.pop(), "not in the status that its events lead to"),
        (
            lambda order: order.events.append(order.events[-1]),
            "return_refunded of a return that is refunded",
        ),
        (lambda order: order.refunds.clear(), "another amount than its refund"),
        (
            lambda order: order.refunds[0].update(amount_minor=100),
            "another amount than its refund",
        ),
        (
            lambda order: order.refunds.append(order.refunds[0] | {"refund_id": UUID(int=8)}),
            "4 units of a line are refunded, 3 were ordered",
        ),
        (
            lambda order: order.row.update(lines=_LINES),
            "everything was returned, but less than it costs is refunded",
        ),
        (
            lambda order: order.returns[0].update(status="refund_failed"),
            "although the provider has rejected no refund",
        ),
        (
            lambda order: order.returns.append(
                order.returns[0] | {"return_id": UUID(int=8), "amount_minor": 0}
            ),
            "4 units of a line are returned, 3 were ordered",
        ),
    ],
    ids=[
        *("no row", "rejected and refunded", "received unapproved", "no event of the refund"),
        *("refunded twice", "no refund", "another amount", "units refunded twice"),
        *("too little refunded", "failed without a reason", "units returned twice"),
    ],
)
def test_an_inconsistent_return_is_found(
    mutate: Callable[[OrderRecords], object], found: str
) -> None:
    order = returned()
    mutate(order)

    assert found in " ".join(description for description, _ in returns_match_order(order))


@pytest.mark.parametrize("status", ["requested", "approved", "received"])
def test_a_return_that_has_not_ended_is_unresolved(status: str) -> None:
    order = returned()
    _in_status(status, "requested")(order)

    assert [description for description, _ in nothing_unresolved(order)] == [
        "a return is unresolved"
    ]
