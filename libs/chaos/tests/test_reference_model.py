"""The checker's reference model of an order."""

from collections.abc import Iterable
from typing import Any

from fuze_chaos.reference_model import TERMINAL_STATUSES, TRANSITIONS, replay
from fuze_contracts.order_states import TERMINAL_STATUSES as CONTRACT_TERMINAL_STATUSES
from fuze_contracts.order_states import EventType, OrderStatus

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


def _refund(kind: str, payment_status: str, amount_minor: int = 60) -> dict[str, Any]:
    return {
        "type": kind,
        "status": "shipped",
        "payment_status": payment_status,
        "details": {"refund_id": f"re_{amount_minor}", "amount_minor": amount_minor},
    }


def _with_refunds(*refunds: dict[str, Any]) -> list[dict[str, Any]]:
    rows = events(SHIPPED)
    rows[0]["details"] = {"total_minor": 100}
    numbered = [{**one, "seq": seq} for seq, one in enumerate(refunds, start=len(rows) + 1)]
    return [*rows, *numbered]


def test_requested_refunds_lead_to_partially_refunded_and_to_refunded() -> None:
    order = replay(
        _with_refunds(
            _refund("refund_requested", "charged", 60),
            _refund("refund_requested", "charged", 40),
            _refund("payment_refunded", "partially_refunded", 40),
            _refund("payment_refunded", "refunded", 60),
        )
    )

    assert (order.error, order.payment_status) == (None, "refunded")


def test_a_partial_refund_that_is_recorded_as_full_is_an_error() -> None:
    assert replay(
        _with_refunds(
            _refund("refund_requested", "charged"), _refund("payment_refunded", "refunded")
        )
    ).error


def test_a_failed_refund_needs_attention_until_another_one_succeeds() -> None:
    failed = _with_refunds(
        _refund("refund_requested", "charged"), _refund("refund_failed", "charged")
    )
    repeated = [
        *failed,
        {**_refund("refund_requested", "charged", 1), "seq": 9},
        {**_refund("payment_refunded", "partially_refunded", 1), "seq": 10},
    ]

    assert replay(failed).needs_attention
    assert not replay(repeated).needs_attention


def test_a_refund_that_was_requested_before_a_failure_does_not_make_up_for_it() -> None:
    rows = _with_refunds(
        _refund("refund_requested", "charged", 1),
        _refund("refund_requested", "charged", 60),
        _refund("refund_failed", "charged", 60),
        _refund("payment_refunded", "partially_refunded", 1),
    )

    assert replay(rows).needs_attention
