"""How values are shown: amounts, times, durations, states."""

from datetime import UTC, datetime, timedelta

from markupsafe import Markup

from fuze_contracts.money import CURRENCY_EXPONENTS

_NONE = Markup("\N{EN DASH}")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

_TONES = {
    "good": {
        *("shipped", "delivered", "completed", "charged", "refunded", "ok", "ready", "approved"),
        *("running", "order_shipped", "order_delivered", "order_completed", "payment_charged"),
        *("order_approved", "payment_refunded", "return_refunded", "enabled"),
    },
    "wait": {
        *("awaiting_approval", "awaiting_payment_method", "awaiting_address", "under_review"),
        *("requested", "unknown", "backing_off", "paused", "approval_reminder_sent"),
        *("partially_refunded", "return_requested", "refund_requested", "retry_requested"),
    },
    "bad": {
        *("rejected", "expired", "payment_declined", "declined", "refund_failed", "unavailable"),
        *("needs_attention", "order_rejected", "order_expired", "carrier_rejected_address"),
        *("return_refund_failed", "address_change_rejected", "payment_abandoned", "failed"),
    },
    "busy": {
        *("received", "paid", "preparing", "cancelling", "pending", "refunding", "submitted"),
        *("created", "started", "scheduled", "order_received", "order_validated"),
        *("shipping_started", "return_received", "return_approved", "cancellation_started"),
    },
}
_TONE_BY_STATE = {state: tone for tone, states in _TONES.items() for state in states}


def format_label(state: str) -> str:
    """Return a state as words: `awaiting_approval` is `Awaiting approval`."""
    return "OK" if state == "ok" else state.replace("_", " ").capitalize()


def get_tone(state: str) -> str:
    """Return `good`, `wait`, `bad`, `busy` or `quiet`, for the colour of a state."""
    return _TONE_BY_STATE.get(state, "quiet")


def format_amount(minor: int, currency: str) -> str:
    """Return an amount in major units with its currency: `1,234.56 USD`."""
    return f"{format_number(minor, currency)} {currency}"


def format_number(minor: int, currency: str) -> str:
    """Return an amount in major units without its currency."""
    exponent = CURRENCY_EXPONENTS.get(currency, 0)
    sign = "\N{MINUS SIGN}" if minor < 0 else ""
    whole, fraction = divmod(abs(minor), 10**exponent)
    return f"{sign}{whole:,}.{fraction:0{exponent}d}" if exponent else f"{sign}{whole:,}"


def format_time(time: datetime | None, now: datetime | None = None) -> Markup:
    """Return a time in UTC as an element: the date only where it is another day."""
    if time is None:
        return _NONE
    time, now = time.astimezone(UTC), now or datetime.now(UTC)
    shown = f"{time:%H:%M:%S}" if time.date() == now.date() else f"{time.day} {time:%b %H:%M}"
    if time.year != now.year:
        shown = f"{time.day} {time:%b %Y}"
    return _to_element(time, shown)


def format_relative(time: datetime | None, now: datetime | None = None) -> Markup:
    """Return a time as `3 min ago` or `in 3 min`, as an element."""
    if time is None:
        return _NONE
    time, now = time.astimezone(UTC), now or datetime.now(UTC)
    distance = (time - now).total_seconds()
    # The largest unit is enough: `3 min ago`.
    length = " ".join(format_duration(max(round(abs(distance)), 1)).split()[:2])
    shown = f"in {length}" if distance > 0 else f"{length} ago"
    return _to_element(time, shown)


def _to_element(time: datetime, shown: str) -> Markup:
    return Markup('<time datetime="{}" title="{:%Y-%m-%d %H:%M:%S} UTC">{}</time>').format(
        time.isoformat(), time, shown
    )


def format_duration(seconds: float | timedelta) -> str:
    """Return a duration in its two largest units: `250 ms`, `4.2 s`, `3 min 10 s`, `2 d 4 h`."""
    if isinstance(seconds, timedelta):
        seconds = seconds.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE:
        return f"{seconds:g} s" if seconds == int(seconds) else f"{seconds:.1f} s"
    for unit, size, smaller, smaller_size in (
        ("d", _DAY, "h", _HOUR),
        ("h", _HOUR, "min", _MINUTE),
        ("min", _MINUTE, "s", 1),
    ):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {unit} {rest // smaller_size} {smaller}"
    raise AssertionError(seconds)
