"""The diagram of a charge's states.

The payment service's states change in SQL, one method of `PaymentRepository` each. A test of the
service executes each of these methods, and compares the state that it leaves.
"""

from typing import NamedTuple

OPEN = ("created", "submitted", "unknown", "under_review")
SETTLED = {"charged": "good", "declined": "bad", "voided": "quiet"}
"""The settled states, and the tones in which they are drawn."""

NONE = "none"
"""There is no row yet."""


class Transition(NamedTuple):
    """A method of the repository leads from one of the states to another."""

    sources: tuple[str, ...]
    method: str
    target: str
    label: str


TRANSITIONS = (
    Transition((NONE,), "claim", "submitted", "claim"),
    Transition((NONE,), "request_void", "voided", "void"),
    Transition(("created",), "request_void", "voided", "void"),
    Transition(("submitted",), "release_not_attempted", "created", "surely not attempted"),
    Transition(("created",), "mark_submitted", "submitted", "send again"),
    Transition(("submitted",), "release_as_unknown", "unknown", "timeout"),
    Transition(("unknown",), "mark_submitted", "submitted", "not found:\\nsame key again"),
    Transition(("submitted", "unknown"), "mark_under_review", "under_review", "decided later"),
    Transition(OPEN, "settle_succeeded", "charged", "captured"),
    Transition(OPEN, "settle_rejected", "declined", "declined"),
    Transition(("submitted", "unknown", "under_review"), "void", "voided", "void"),
    Transition(("voided",), "settle_succeeded", "charged", "late capture: refunded"),
)


def draw_charge_states() -> str:
    """Return the D2 source. What leads from every open state is drawn once, from their group."""
    lines = [
        "direction: down",
        f"{NONE}: no row {{class: plain}}",
        "open: open: the outcome is not known {class: group}",
        *(f"open.{state}: {{class: busy}}" for state in OPEN),
        "open.under_review.class: wait",
        *(f"{state}: {{class: {tone}}}" for state, tone in SETTLED.items()),
    ]
    edges: dict[tuple[str, str], list[str]] = {}
    for transition in TRANSITIONS:
        edge = edges.setdefault((transition.target, transition.label), [])
        edge.extend(transition.sources)
    for (target, label), sources in edges.items():
        kind = "exception" if target == "voided" or "voided" in sources else "flow"
        is_of_all = set(OPEN) <= set(sources)
        drawn = ["open", *sorted(set(sources) - set(OPEN))] if is_of_all else sources
        lines += [
            f"{_find(source)} -> {_find(target)}: {label} {{class: {kind}}}" for source in drawn
        ]
    return "\n".join([*lines, ""])


def _find(state: str) -> str:
    return f"open.{state}" if state in OPEN else state
