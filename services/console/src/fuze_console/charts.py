"""The geometry of the charts. Templates draw it as SVG, whose classes have the colours.

Nothing has a `style` attribute, which the content security policy forbids. Coordinates are percent
of the drawing, so that it fills its place and its text keeps its size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fuze_client.models import Event
from fuze_console.formatting import format_duration, format_label, get_tone

_MIN_LABELLED_PERCENT = 11
_PERCENT_PER_CHARACTER = 0.68
"""The width of a label in the timeline on a desktop."""


@dataclass(frozen=True)
class Bar:
    """A rectangle: its place in percent, its tone, and its text for pointers and screen readers."""

    x: float
    y: float
    width: float
    height: float
    tone: str
    text: str


def draw_shares(parts: Sequence[tuple[str, str, int]]) -> list[Bar]:
    """Return one bar over the whole width, divided by the counts of `(title, tone, count)`."""
    total = sum(count for _, _, count in parts)
    bars, x = [], 0.0
    for title, tone, count in parts:
        if count:
            width = 100 * count / total
            bars.append(Bar(x, 0, width, 100, tone, f"{title}: {count}"))
            x += width
    return bars


def draw_columns(counts: Sequence[int], current: int) -> list[Bar]:
    """Return a column for each hour of the day."""
    highest, step = max([*counts, 1]), 100 / len(counts)
    return [
        Bar(
            x=index * step + 0.4,
            y=100 - 100 * count / highest,
            width=step - 0.8,
            height=100 * count / highest,
            tone="now" if index == current else "busy",
            text=f"{index:02}:00 UTC: {count}",
        )
        for index, count in enumerate(counts)
    ]


@dataclass(frozen=True)
class Phase:
    """The time that an order was in a status. A narrow one has no room for its label."""

    bar: Bar
    label: str
    duration: str
    is_open: bool

    @property
    def has_room(self) -> bool:
        """Whether the label fits."""
        needed = max(_MIN_LABELLED_PERCENT, _PERCENT_PER_CHARACTER * len(self.label))
        return self.bar.width >= needed


def draw_timeline(events: Sequence[Event], now: float, *, is_open: bool) -> list[Phase]:
    """Return the statuses of an order, one after the other, with how long each took.

    A second and a week are both readable: the width of a phase is the logarithm of its duration.
    Events that leave the status as it is are no phase. The last phase is open until the order ends.
    """
    changes = [
        event
        for index, event in enumerate(events)
        if index == 0 or event.status != events[index - 1].status
    ]
    if not changes:
        return []
    starts = [event.occurred_at.timestamp() for event in changes]
    ends = [*starts[1:], max(now, starts[-1]) if is_open else starts[-1]]
    seconds = [max(end - start, 0) for start, end in zip(starts, ends, strict=True)]
    weights = [0.9 + math.log10(1 + 20 * one) for one in seconds]
    phases, x, gap = [], 0.0, 0.4
    available = 100 - gap * (len(changes) - 1)
    for index, event in enumerate(changes):
        width = available * weights[index] / sum(weights)
        is_last = index == len(changes) - 1
        duration = "" if is_last and not is_open else format_duration(seconds[index])
        label = format_label(event.status)
        text = f"{label}: {duration}" if duration else label
        bar = Bar(x, 0, width, 100, get_tone(event.status), text)
        phases.append(Phase(bar, label, duration, is_open=is_last and is_open))
        x += width + gap
    return phases
