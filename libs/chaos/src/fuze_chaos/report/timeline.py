"""The picture of a run: its faults, what broke, and what went through, over one axis of time."""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from fuze_chaos import throughput
from fuze_chaos.bands import Band, Bar, bands
from fuze_chaos.figures import broken, count, lasted, seconds
from fuze_chaos.markup import tag
from fuze_chaos.outcome import Check, Report

_WIDTH = 1200
_LEFT = 150
_RIGHT = 1184
_MOMENTS = 52
_LANE = 14
_BAR = 10
_BAND_GAP = 8
_MARKS = 20
_MARK_EVERY = 14.0
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MOST_TICKS = 11


@dataclass(frozen=True)
class Axis:
    """The axis of time, from the run's start."""

    span: float

    def x(self, at: float) -> float:
        """Where a moment is; what lies outside is at the edge."""
        within = min(max(at / self.span, 0.0), 1.0)
        return _LEFT + within * (_RIGHT - _LEFT)

    def ticks(self) -> Iterator[int]:
        """Round moments, as many as can be read."""
        step = next((one for one in _TICKS if self.span / one <= _MOST_TICKS), _TICKS[-1])
        yield from range(0, math.floor(self.span) + 1, step)


def draw(report: Report, colours: Mapping[str, str]) -> Element:
    """Draw a run; `colours` names the class of each kind of fault."""
    axis = Axis(_span(report))
    faults, bottom = _faults(bands(report.strikes, axis.x), colours, _MOMENTS)
    marks, bottom = _violations(report, axis, bottom)
    charts, bottom = throughput.draw(report.throughput, axis.span, axis.x, bottom + 14)
    return tag(
        "svg",
        tag("title", "What happened when", id="timeline-title"),
        tag("desc", _description(report), id="timeline-desc"),
        _hatch(),
        _grid(axis, bottom),
        faults,
        marks,
        charts,
        _moments(report, axis, bottom),
        viewBox=f"0 0 {_WIDTH} {math.ceil(bottom) + 24}",
        role="group",
        aria_labelledby="timeline-title timeline-desc",
    )


def _span(report: Report) -> float:
    moments = [1.0, lasted(report)]
    moments += (struck.ended + (struck.recovered_after or 0) for struck in report.strikes)
    moments += (second.at + 1 for second in report.throughput)
    moments += (one.at for check in report.checks for one in check.violations if one.at is not None)
    return max(moments)


def _description(report: Report) -> str:
    return (
        f"{count(len(report.strikes), 'fault')} within {seconds(lasted(report))}, as bars by what "
        f"they hit; {count(broken(report), 'violation')}, as diamonds; below them the orders "
        "accepted and ended and the requests turned away per second. The tables have the same."
    )


def _hatch() -> Element:
    line = tag("path", d="M0,6 L6,0 M-1,1 L1,-1 M5,7 L7,5", class_="hatching")
    return tag(
        "defs",
        tag("pattern", line, id="hatch", width=6, height=6, patternUnits="userSpaceOnUse"),
    )


def _grid(axis: Axis, bottom: float) -> Element:
    return tag(
        "g",
        *(
            tag(
                "g",
                tag("path", d=f"M{axis.x(at):.1f},{_MOMENTS - 6} V{bottom:.1f}", class_="grid"),
                tag("text", f"{at:,} s", x=axis.x(at), y=bottom + 16, class_="tick"),
            )
            for at in axis.ticks()
        ),
    )


def _faults(
    placed: tuple[Band, ...], colours: Mapping[str, str], top: float
) -> tuple[Element, float]:
    drawn = tag("g")
    for number, band in enumerate(placed):
        height = band.lanes * _LANE + _BAND_GAP
        drawn.append(
            tag(
                "g",
                _background(top, height) if number % 2 == 0 else None,
                _label(band.name, top + height / 2),
                *(
                    _fault(bar, colours[bar.struck.strike.kind], top + _BAND_GAP / 2)
                    for bar in band.bars
                ),
            )
        )
        top += height
    return drawn, top


def _fault(bar: Bar, colour: str, top: float) -> Element:
    struck, strike = bar.struck, bar.struck.strike
    y = top + bar.lane * _LANE + (_LANE - _BAR) / 2
    place = {"x": bar.left, "y": y, "width": bar.right - bar.left, "height": _BAR, "rx": 1.5}
    said = [f"{strike.number}: {strike.kind}, {strike.target.replace('->', ' → ')}"]
    said.append(f"{struck.began:.1f} s, for {seconds(struck.ended - struck.began)}")
    tail = None
    if struck.failed is not None:
        said.append(f"could not be carried out: {struck.failed}")
    if struck.recovered_after is not None:
        said.append(f"{struck.witness or 'things'} moved {seconds(struck.recovered_after)} later")
        tail = tag("path", d=f"M{bar.right:.1f},{y + _BAR / 2:.1f} H{bar.moved:.1f}", class_="tail")
    number = tag("text", str(strike.number), x=bar.moved + 2.5, y=y + _BAR - 1.5, class_="number")
    return tag(
        "a",
        tag("title", "\n".join((*said, *filter(None, [struck.note])))),
        tail,
        tag("rect", class_="bar failed" if struck.failed is not None else "bar", **place),
        number if bar.numbered else None,
        href=f"#strike-{strike.number}",
        tabindex="-1",  # six hundred of them are no way for a keyboard; the table is
        class_=colour,
    )


def _violations(report: Report, axis: Axis, top: float) -> tuple[Element, float]:
    drawn = tag("g")
    for check in report.checks:
        if check.violations:
            row = tag("g", _label(f"breaks {check.invariant}", top + _MARKS / 2))
            row.extend(_marks(check, axis, top + _MARKS / 2))
            drawn.append(row)
            top += _MARKS
    return drawn, top


def _marks(check: Check, axis: Axis, y: float) -> Iterator[Element]:
    """One mark for all that is too close together to be told apart."""
    near: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, violation in enumerate(check.violations):
        if violation.at is not None:
            x = axis.x(violation.at)
            near[round(x / _MARK_EVERY)].append((number, x))
    for together in near.values():
        number, x = together[0]
        first = check.violations[number]
        said = f"{check.invariant} at {first.at or 0:.1f} s: {first.order_id or ''} {first.what}"
        more = f"\nand {len(together) - 1} more close by" if len(together) > 1 else ""
        yield tag(
            "a",
            tag("title", said + more),
            tag("path", d=f"M{x:.1f},{y - 7:.1f} l6,7 l-6,7 l-6,-7 z", class_="mark"),
            href=f"#{check.invariant}",
            tabindex="-1",
        )


def _moments(report: Report, axis: Axis, bottom: float) -> Element:
    moments = [
        ("load ends", report.load_lasted),
        ("last fault ends", report.last_fault_ended),
        ("last order ends", report.last_order_ended),
    ]
    drawn = tag("g")
    known = [(said, at) for said, at in moments if at is not None]
    latest_first = sorted(known, key=lambda moment: -moment[1])  # so no line crosses a name
    for row, (said, at) in enumerate(latest_first):
        x, y = axis.x(at), 12 + row * 15
        before = x > (_LEFT + _RIGHT) / 2
        drawn.append(
            tag(
                "g",
                tag("path", d=f"M{x:.1f},{y - 9} V{bottom:.1f}", class_="moment"),
                tag(
                    "text",
                    f"{said}, {at:,.0f} s",
                    x=x - 5 if before else x + 5,
                    y=y,
                    class_="moment-name before" if before else "moment-name",
                ),
            )
        )
    return drawn


def _background(top: float, height: float) -> Element:
    return tag("rect", x=0, y=top, width=_WIDTH, height=height, class_="band")


def _label(name: str, middle: float) -> Element:
    return tag("text", name, x=_LEFT - 10, y=middle + 4, class_="label")
