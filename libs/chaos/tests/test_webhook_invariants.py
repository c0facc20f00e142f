"""Each event that an endpoint does not have, or has out of order, is found."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from fuze_chaos.checker.webhook_invariants import events_delivered
from fuze_chaos.snapshots.records import OrderRecords

_TYPES = ("order_received", "order_validated", "order_approved")
Mutate = Callable[[OrderRecords], object]


def _request(seq: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - of any type
    return {
        "endpoint": "endpoint-1",
        "endpoint_id": "e-1",
        "path": "/webhooks",
        "seq": seq,
        "type": _TYPES[seq - 1],
        "is_signed": True,
        "status": 200,
        "is_forgotten": False,
    } | changes


def delivered() -> OrderRecords:
    """An order whose three events one endpoint has; another wants two of them."""
    deliveries = [
        {
            "endpoint_id": endpoint_id,
            "seq": seq,
            "state": "delivered",
            "is_enabled": True,
            "is_scheduled": False,
            "error": None,
        }
        for endpoint_id, numbers in (("e-1", (1, 2, 3)), ("e-2", (1, 3)))
        for seq in numbers
    ]
    return OrderRecords(
        "an-order",
        events=[{"seq": seq, "type": kind} for seq, kind in enumerate(_TYPES, start=1)],
        deliveries=deliveries,
        webhooks=[
            _request(1),
            _request(1, endpoint_id="e-2"),
            _request(2, status=500),
            _request(2),
            _request(3),
            _request(2),
            _request(3, endpoint_id="e-2"),
        ],
    )


def _without(*numbers: int) -> Mutate:
    def change(order: OrderRecords) -> None:
        order.webhooks = [
            one
            for one in order.webhooks
            if one["endpoint_id"] == "e-2" or one["seq"] not in numbers
        ]

    return change


def _wait(seq: int, **columns: object) -> Mutate:
    """Let an event and the later ones of its order wait."""

    def change(order: OrderRecords) -> None:
        _without(*range(seq, 4))(order)
        for one in order.deliveries[seq - 1 : 3]:
            one.update({"state": "pending"} | columns)
            columns.pop("is_scheduled", None)  # the later ones are due, and wait for it

    return change


def test_events_that_were_repeated_and_filtered_are_delivered() -> None:
    assert list(events_delivered(delivered())) == []


@pytest.mark.parametrize(
    "mutate",
    [
        _wait(2, is_scheduled=True),
        _wait(2, state="failed"),
        _wait(1, is_enabled=False, state=None),
    ],
    ids=["a next attempt", "failed", "disabled"],
)
def test_events_that_wait_with_a_reason_violate_nothing(mutate: Mutate) -> None:
    order = delivered()
    mutate(order)

    assert list(events_delivered(order)) == []


@pytest.mark.parametrize(
    ("mutate", "found"),
    [
        (_without(3), "recorded as delivered, and the endpoint does not have it"),
        (_wait(3, state=None), "not queued"),
        (_wait(2, is_scheduled=False), "neither delivered nor scheduled"),
        (
            lambda order: order.webhooks[-3].update(is_forgotten=True),
            "recorded as delivered, and the endpoint does not have it",
        ),
        (lambda order: order.webhooks.insert(0, order.webhooks.pop(4)), "out of order"),
        (lambda order: order.webhooks.append(_request(2, path="/elsewhere")), "redirect"),
        (lambda order: order.webhooks[2].update(is_signed=False), "not signed"),
        (lambda order: order.events.pop(), "is not committed"),
        (lambda order: order.webhooks[0].update(type="order_shipped"), "is not committed"),
    ],
    ids=[
        *("not sent", "not queued", "due", "forgotten", "out of order", "redirected", "unsigned"),
        *("sent before its commit", "another type"),
    ],
)
def test_an_event_that_is_lost_or_out_of_order_is_found(mutate: Mutate, found: str) -> None:
    order = copy.deepcopy(delivered())
    mutate(order)

    assert found in " ".join(description for description, _ in events_delivered(order))


def test_a_forgotten_event_that_was_redelivered_is_delivered() -> None:
    order = delivered()
    order.webhooks[4].update(is_forgotten=True)
    order.webhooks.append(_request(3))

    assert list(events_delivered(order)) == []
