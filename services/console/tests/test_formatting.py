"""How amounts, times and durations are written."""

from datetime import UTC, datetime, timedelta

import pytest

from fuze_console.formatting import (
    format_amount,
    format_duration,
    format_label,
    format_relative,
    format_time,
    get_tone,
)

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (123456789, "USD", "1,234,567.89 USD"),
        (5, "EUR", "0.05 EUR"),
        (-1999, "USD", "\N{MINUS SIGN}19.99 USD"),
        (1500, "JPY", "1,500 JPY"),
        (1234, "BHD", "1.234 BHD"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(minor: int, currency: str, text: str) -> None:
    assert format_amount(minor, currency) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.25, "250 ms"),
        (4.2, "4.2 s"),
        (34, "34 s"),
        (190, "3 min 10 s"),
        (7260, "2 h 1 min"),
        (2 * 86400 + 4 * 3600, "2 d 4 h"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


def test_times_are_relative_in_both_directions() -> None:
    assert ">3 min ago<" in format_relative(NOW - timedelta(minutes=3), NOW)
    assert ">in 1 d<" in format_relative(NOW + timedelta(days=1), NOW)
    assert format_relative(None) == "\N{EN DASH}"


def test_the_date_of_a_time_is_written_where_it_is_another_day() -> None:
    assert ">10:00:00<" in format_time(NOW - timedelta(hours=2), NOW)
    assert ">3 Jan 12:00<" in format_time(NOW - timedelta(days=2), NOW)
    assert ">31 Dec 2025<" in format_time(NOW - timedelta(days=5), NOW)


def test_a_state_that_is_not_known_is_shown_as_it_is() -> None:
    assert (format_label("some_new_state"), get_tone("some_new_state")) == (
        "Some new state",
        "quiet",
    )
