"""What the checker knows of an order's life."""

from collections.abc import Iterable
from typing import Any

from fuze_chaos.life import EDGES, ENDS, fold
from fuze_contracts.order import TERMINAL_STATUSES, EventType, OrderStatus

SHIPPED = [
    ("order_received", "received", "none"),
    ("order_validated", "awaiting_approval", "none"),
    ("order_approved", "approved", "pending"),
    ("payment_charged", "paid", "charged"),
    ("shipping_started", "preparing", "charged"),
    ("order_shipped", "shipped", "charged"),
]


def events(told: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    return [
        {"seq": seq, "type": kind, "status": status, "payment_status": payment}
        for seq, (kind, status, payment) in enumerate(told, start=1)
    ]


def test_it_knows_every_event_and_every_end_of_the_contract() -> None:
    assert EDGES.keys() == set(EventType)
    assert ENDS == TERMINAL_STATUSES
    named = {status for edge in EDGES.values() for status in (*edge.origins, edge.to) if status}
    assert named == set(OrderStatus)


def test_it_follows_an_order_to_where_it_is() -> None:
    folded = fold(events(SHIPPED))

    assert folded.broken is None
    assert (folded.status, folded.payment, folded.seq) == ("shipped", "charged", 6)


def test_it_notices_an_event_that_is_missing() -> None:
    told = events(SHIPPED)
    del told[2]

    assert fold(told).broken == "event 4 comes after event 2"


def test_it_notices_an_event_that_cannot_be() -> None:
    assert fold(events([*SHIPPED, ("order_cancelled", "cancelled", "charged")])).broken


def test_it_notices_a_status_to_which_the_event_does_not_lead() -> None:
    told = [*SHIPPED[:-1], ("order_shipped", "preparing", "charged")]

    assert fold(events(told)).broken


def test_money_that_nobody_had_asked_for_is_none_after_a_cancellation() -> None:
    told = [*SHIPPED[:3], ("order_cancelled", "cancelled", "none")]

    assert fold(events(told)).broken is None


def test_an_address_mends_no_step_that_needs_attention() -> None:
    told = [
        *SHIPPED[:5],
        ("needs_attention", "preparing", "charged"),
        ("address_changed", "preparing", "charged"),
    ]

    assert fold(events(told)).needs_attention
