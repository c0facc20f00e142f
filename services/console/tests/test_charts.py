"""The geometry of the charts."""

from datetime import UTC, datetime, timedelta

import pytest

from fuze_client.models import Event
from fuze_console.charts import draw_columns, draw_shares, draw_timeline

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def _event(seq: int, status: str, seconds: float) -> Event:
    return Event(
        seq=seq,
        type="order_received",
        status=status,
        payment_status="none",
        actor="ada",
        details={},
        occurred_at=START + timedelta(seconds=seconds),
    )


EVENTS = [
    _event(1, "received", 0),
    _event(2, "awaiting_approval", 0.1),
    _event(3, "awaiting_approval", 3600),
    _event(4, "shipped", 7200.1),
]


def test_shares_fill_the_width_in_proportion() -> None:
    bars = draw_shares([("Fulfilled", "good", 3), ("Waiting", "wait", 0), ("Cancelled", "bad", 1)])

    assert [(bar.x, bar.width) for bar in bars] == [(0, 75), (75, 25)]


def test_columns_are_as_high_as_their_share_of_the_highest() -> None:
    bars = draw_columns([0, 5, 10], current=2)

    assert [bar.height for bar in bars] == [0, 50, 100]
    assert [bar.tone for bar in bars] == ["busy", "busy", "now"]


def test_a_timeline_has_a_phase_for_each_status_with_its_duration() -> None:
    phases = draw_timeline(EVENTS, START.timestamp() + 9000, is_open=False)

    assert [(one.label, one.duration) for one in phases] == [
        ("Received", "100 ms"),
        ("Awaiting approval", "2 h 0 min"),
        ("Shipped", ""),
    ]
    assert phases[-1].bar.x + phases[-1].bar.width == pytest.approx(100)


def test_a_label_that_is_longer_than_its_phase_is_left_out() -> None:
    statuses = ["received", "approved", "awaiting_payment_method", "approved", "paid", "preparing"]
    events = [_event(seq, status, seq) for seq, status in enumerate([*statuses, "shipped"], 1)]

    phases = draw_timeline(events, START.timestamp() + 7, is_open=False)

    labelled = [one.label for one in phases if one.has_room]
    assert labelled == ["Received", "Approved", "Approved", "Paid", "Preparing"]


def test_the_last_phase_of_an_open_order_lasts_until_now() -> None:
    phases = draw_timeline(EVENTS[:3], START.timestamp() + 60.1, is_open=True)

    assert (phases[-1].duration, phases[-1].is_open) == ("1 min 0 s", True)


def test_an_order_without_events_has_no_timeline() -> None:
    assert draw_timeline([], START.timestamp(), is_open=True) == []
