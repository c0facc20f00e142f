"""The diagram of an order's states, from the transitions in the code."""

from collections.abc import Iterator
from itertools import groupby

from fuze_chaos.reference_model import TRANSITIONS
from fuze_console.states import ENDS
from fuze_contracts.order_states import EventType, OrderStatus
from fuze_order.transitions import status_after

_EXCEPTIONS = {
    *(EventType.CANCELLATION_STARTED, EventType.ORDER_CANCELLED),
    *(EventType.ORDER_REJECTED, EventType.ORDER_EXPIRED, EventType.PAYMENT_ABANDONED),
}
"""Events that end an order without a shipment: drawn with a dashed line."""


def draw_order_states() -> str:
    """Return the D2 source: each status with the colour that it has in the console."""
    tones = {status: end.tone for end in ENDS for status in end.statuses}
    states = [f"{status}: {{class: {tones[status]}}}" for status in OrderStatus]
    return "\n".join(["direction: down", *states, *_draw_transitions(), ""])


def _draw_transitions() -> Iterator[str]:
    """Yield an edge for each pair of states, with the event that leads from one to the other.

    The order service knows where an event leads, the checker in which status it is legal.
    """
    changes = sorted(
        (source, status_after(event, source), event)
        for event in EventType
        for source in map(OrderStatus, TRANSITIONS[event].sources - {""})
        if status_after(event, source) is not source
    )
    for (source, target), events in groupby(changes, key=lambda one: one[:2]):
        names = [event for *_, event in events]
        is_exception = _EXCEPTIONS.issuperset(names)
        label = "" if is_exception else ", ".join(names)
        kind = "exception" if is_exception else "flow"
        yield f"{source} -> {target}: {label} {{class: {kind}}}"
