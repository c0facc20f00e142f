"""What went through: orders accepted and ended, and requests turned away, per second."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from fuze_chaos.markup import tag
from fuze_chaos.outcome import Second

_MOST_POINTS = 300
_HIGH = 84.0
_LOW = 44.0
_GAP = 22.0

X = Callable[[float], float]


@dataclass(frozen=True)
class Bucket:
    """Some seconds as one point; its numbers are per second."""

    begins: float
    ends: float
    accepted: float
    ended: float
    turned_away: float

    @property
    def middle(self) -> float:
        """The moment that stands for all of it."""
        return (self.begins + self.ends) / 2


def buckets(seconds: Sequence[Second], span: float) -> tuple[Bucket, ...]:
    """Gather seconds so that the longest run has few points; a second that is missing was idle."""
    width = max(1, math.ceil(span / _MOST_POINTS))
    gathered: dict[int, list[Second]] = defaultdict(list)
    for second in seconds:
        gathered[second.at // width].append(second)
    made = []
    for number in range(math.ceil(span / width)):
        begins = number * width
        lasts = min(width, max(span - begins, 1))  # the last one is often cut short
        inside = gathered.get(number, [])
        made.append(
            Bucket(
                begins,
                min(begins + width, span),
                accepted=sum(second.accepted for second in inside) / lasts,
                ended=sum(second.ended for second in inside) / lasts,
                turned_away=sum(second.turned_away for second in inside) / lasts,
            )
        )
    return tuple(made)


def draw(seconds: Sequence[Second], span: float, x: X, top: float) -> tuple[Element, float]:
    """Draw both charts below `top`; returns them and where they end."""
    points = buckets(seconds, span)
    most = max((max(point.accepted, point.ended) for point in points), default=0)
    most_away = max((point.turned_away for point in points), default=0)
    base = top + _HIGH
    bottom = base + _GAP + _LOW
    accepted = [(x(point.middle), _y(point.accepted, most, base, _HIGH)) for point in points]
    ended = [(x(point.middle), _y(point.ended, most, base, _HIGH)) for point in points]
    left, right = x(0), x(span)
    drawn = tag(
        "g",
        tag("path", d=f"M{left:.1f},{base:.1f} H{right:.1f}", class_="base"),
        _scale("orders a second", most, left, top, base),
        tag("text", "accepted", x=left - 10, y=top + 38, class_="label accepted-name"),
        tag("text", "ended", x=left - 10, y=top + 54, class_="label ended-name"),
        tag("path", d=_area(accepted, base), class_="accepted"),
        tag("path", d=_line(accepted), class_="accepted-line"),
        tag("path", d=_line(ended), class_="ended-line"),
        tag("path", d=f"M{left:.1f},{bottom:.1f} H{right:.1f}", class_="base"),
        _scale("turned away a second", most_away, left, base + _GAP, bottom),
        tag("path", d=_columns(points, x, most_away, bottom), class_="away"),
        *(_told(point, x, top, bottom) for point in points),
    )
    return drawn, bottom


def _y(value: float, most: float, base: float, height: float) -> float:
    return base - (value / most * height if most else 0)


def _line(points: list[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _area(points: list[tuple[float, float]], base: float) -> str:
    return f"{_line(points)} L{points[-1][0]:.1f},{base:.1f} L{points[0][0]:.1f},{base:.1f} Z"


def _columns(points: Sequence[Bucket], x: X, most: float, base: float) -> str:
    return " ".join(
        f"M{x(point.begins):.1f},{base:.1f} V{_y(point.turned_away, most, base, _LOW):.1f} "
        f"H{x(point.ends):.1f} V{base:.1f} Z"
        for point in points
        if point.turned_away
    )


def _scale(name: str, most: float, left: float, top: float, base: float) -> Element:
    return tag(
        "g",
        tag("text", name, x=left - 10, y=top + 20, class_="label"),
        tag("text", f"{most:.3g}", x=left - 10, y=top + 5, class_="label scale") if most else None,
        tag("text", "0", x=left - 10, y=base, class_="label scale"),
        tag("path", d=f"M{left - 6:.1f},{top:.1f} H{left:.1f} V{base:.1f} h-6", class_="base"),
    )


def _told(point: Bucket, x: X, top: float, bottom: float) -> Element:
    said = (
        f"{point.begins:.0f} to {point.ends:.0f} s: {point.accepted:.1f} accepted, "
        f"{point.ended:.1f} ended, {point.turned_away:.1f} turned away a second"
    )
    left = x(point.begins)
    place = {"x": left, "y": top, "width": x(point.ends) - left, "height": bottom - top}
    return tag("rect", tag("title", said), class_="told", **place)
