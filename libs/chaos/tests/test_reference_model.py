"""The checker's reference model of an order."""

from collections.abc import Iterable
from typing import Any

from fuze_chaos.reference_model import TERMINAL_STATUSES, TRANSITIONS, replay
from fuze_contracts.order import TERMINAL_STATUSES as CONTRACT_TERMINAL_STATUSES
from fuze_contracts.order import EventType, OrderStatus

SHIPPED = [
    ("order_received", "received", "none"),
    ("order_validated", "awaiting_approval", "none"),
    ("order_approved", "approved", "pending"),
    ("payment_charged", "paid", "charged"),
    ("shipping_started", "preparing", "charged"),
    ("order_shipped", "shipped", "charged"),
]


def events(rows: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    return [
        {"seq": seq, "type": kind, "status": status, "payment_status": payment}
        for seq, (kind, status, payment) in enumerate(rows, start=1)
    ]


def test_it_covers_every_event_and_status_of_the_contract() -> None:
    assert TRANSITIONS.keys() == set(EventType)
    assert TERMINAL_STATUSES == CONTRACT_TERMINAL_STATUSES
    covered = {
        status
        for transition in TRANSITIONS.values()
        for status in (*transition.sources, transition.status)
        if status
    }
    assert covered == set(OrderStatus)


def test_it_replays_legal_events_to_the_final_status() -> None:
    order = replay(events(SHIPPED))

    assert order.error is None
    assert (order.status, order.payment_status, order.seq) == ("shipped", "charged", 6)


def test_a_missing_event_is_an_error() -> None:
    rows = events(SHIPPED)
    del rows[2]

    assert replay(rows).error == "event 4 follows event 2"


def test_an_illegal_event_is_an_error() -> None:
    assert replay(events([*SHIPPED, ("order_cancelled", "cancelled", "charged")])).error


def test_a_status_that_the_event_does_not_lead_to_is_an_error() -> None:
    rows = [*SHIPPED[:-1], ("order_shipped", "preparing", "charged")]

    assert replay(events(rows)).error


def test_a_cancellation_before_the_charge_leaves_no_payment() -> None:
    rows = [*SHIPPED[:3], ("order_cancelled", "cancelled", "none")]

    assert replay(events(rows)).error is None


def test_an_address_change_does_not_clear_needs_attention() -> None:
    rows = [
        *SHIPPED[:5],
        ("needs_attention", "preparing", "charged"),
        ("address_changed", "preparing", "charged"),
    ]

    assert replay(events(rows)).needs_attention
