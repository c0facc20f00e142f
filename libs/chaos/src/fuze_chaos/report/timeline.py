"""The timeline: faults, violations and throughput on one time axis, laid out for the template."""

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from fuze_chaos.checker.results import CheckResult
from fuze_chaos.report.formatting import format_count, format_duration, format_target
from fuze_chaos.report.report import Report
from fuze_chaos.report.throughput_chart import ThroughputChart, build_chart
from fuze_chaos.report.timeline_layout import Bar, build_bands

WIDTH = 1200
_LEFT = 150
_RIGHT = 1184
_TOP = 52
_LANE_HEIGHT = 14
_BAR_HEIGHT = 10
_BAND_GAP = 8
_VIOLATIONS_HEIGHT = 20
_MARK_DISTANCE = 14.0
_CHART_GAP = 14
_BOTTOM = 24
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MAX_TICKS = 11
_MOMENT_HEIGHT = 15


@dataclass(frozen=True)
class Axis:
    """The time axis, from the start of the run."""

    span: float

    def x(self, at: float) -> float:
        """Return the position of a moment; moments outside the span are at the edge."""
        within = min(max(at / self.span, 0.0), 1.0)
        return _LEFT + within * (_RIGHT - _LEFT)

    def ticks(self) -> Iterator[int]:
        """Yield round moments, no more than fit."""
        step = next((one for one in _TICKS if self.span / one <= _MAX_TICKS), _TICKS[-1])
        yield from range(0, math.floor(self.span) + 1, step)


@dataclass(frozen=True)
class Row:
    """A labelled row of bars or marks."""

    label: str
    top: float
    height: float


@dataclass(frozen=True)
class FaultBar:
    """A fault as it is drawn: its layout, its vertical position, and its tooltip."""

    layout: Bar
    y: float
    tooltip: str


@dataclass(frozen=True)
class BandRow(Row):
    """The faults of one component."""

    bars: tuple[FaultBar, ...]


@dataclass(frozen=True)
class Mark:
    """A diamond for one violation, or for several that are too close to tell apart."""

    invariant: str
    x: float
    tooltip: str


@dataclass(frozen=True)
class ViolationRow(Row):
    """The violations of one invariant."""

    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Moment:
    """A moment of the run with a vertical line and a label."""

    label: str
    x: float
    y: float

    @property
    def label_is_left(self) -> bool:
        """Whether the label is left of the line, where there is more room."""
        return self.x > (_LEFT + _RIGHT) / 2


@dataclass(frozen=True)
class Timeline:
    """Everything that the SVG template draws."""

    description: str
    ticks: tuple[tuple[int, float], ...]
    bands: tuple[BandRow, ...]
    violations: tuple[ViolationRow, ...]
    throughput: ThroughputChart
    moments: tuple[Moment, ...]
    left: float = _LEFT
    right: float = _RIGHT
    top: float = _TOP
    width: int = WIDTH
    bar_height: int = _BAR_HEIGHT

    @property
    def bottom(self) -> float:
        """The lower edge of the charts."""
        return self.throughput.failed_base

    @property
    def height(self) -> int:
        """The height of the picture with its tick labels."""
        return math.ceil(self.bottom) + _BOTTOM


def build_timeline(report: Report) -> Timeline:
    """Lay out the timeline of a run."""
    axis = Axis(_span(report))
    bands, bottom = _bands(report, axis, _TOP)
    violations, bottom = _violations(report, axis, bottom)
    return Timeline(
        description=(
            f"{format_count(len(report.faults), 'fault')} in {format_duration(report.duration)}, "
            "as bars by component; "
            f"{format_count(report.violation_count, 'violation')}, as diamonds; below them, orders "
            "accepted and ended, and failed requests, per second. The tables have the same data."
        ),
        ticks=tuple((at, axis.x(at)) for at in axis.ticks()),
        bands=bands,
        violations=violations,
        throughput=build_chart(report.throughput, axis.span, axis.x, bottom + _CHART_GAP),
        moments=tuple(_moments(report, axis)),
    )


def _span(report: Report) -> float:
    moments = [1.0, report.duration]
    moments += (fault.ended + (fault.recovered_after or 0) for fault in report.faults)
    moments += (sample.at + 1 for sample in report.throughput)
    moments += (one.at for check in report.checks for one in check.violations if one.at is not None)
    return max(moments)


def _bands(report: Report, axis: Axis, top: float) -> tuple[tuple[BandRow, ...], float]:
    rows = []
    for band in build_bands(report.faults, axis.x):
        height = band.lanes * _LANE_HEIGHT + _BAND_GAP
        first = top + _BAND_GAP / 2 + (_LANE_HEIGHT - _BAR_HEIGHT) / 2
        bars = tuple(
            FaultBar(bar, first + bar.lane * _LANE_HEIGHT, _fault_tooltip(bar)) for bar in band.bars
        )
        rows.append(BandRow(band.name, top, height, bars))
        top += height
    return tuple(rows), top


def _fault_tooltip(bar: Bar) -> str:
    fault, scheduled = bar.fault, bar.fault.scheduled
    lines = [
        f"{scheduled.number}: {scheduled.kind}, {format_target(scheduled.target)}",
        f"at {fault.started:.1f} s, for {format_duration(fault.ended - fault.started)}",
    ]
    if fault.error is not None:
        lines.append(f"not injected: {fault.error}")
    if fault.recovered_after is not None:
        what = fault.recovery_event or "recovered"
        lines.append(f"{what} {format_duration(fault.recovered_after)} later")
    return "\n".join((*lines, *filter(None, [fault.note])))


def _violations(report: Report, axis: Axis, top: float) -> tuple[tuple[ViolationRow, ...], float]:
    rows = []
    for check in report.checks:
        if check.violations:
            marks = tuple(_marks(check, axis))
            rows.append(ViolationRow(f"violates {check.invariant}", top, _VIOLATIONS_HEIGHT, marks))
            top += _VIOLATIONS_HEIGHT
    return tuple(rows), top


def _marks(check: CheckResult, axis: Axis) -> Iterator[Mark]:
    clusters: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for number, violation in enumerate(check.violations):
        if violation.at is not None:
            x = axis.x(violation.at)
            clusters[round(x / _MARK_DISTANCE)].append((number, x))
    for cluster in clusters.values():
        number, x = cluster[0]
        first = check.violations[number]
        text = (
            f"{check.invariant} at {first.at or 0:.1f} s: {first.order_id or ''} "
            f"{first.description}"
        )
        more = f"\nand {len(cluster) - 1} more nearby" if len(cluster) > 1 else ""
        yield Mark(check.invariant, x, text + more)


def _moments(report: Report, axis: Axis) -> Iterator[Moment]:
    moments = [
        ("workload ends", report.workload_ended),
        ("last fault ends", report.last_fault_ended),
        ("last order ends", report.last_order_ended),
    ]
    known = [(label, at) for label, at in moments if at is not None]
    # The latest on top, so that no line crosses a label.
    for row, (label, at) in enumerate(sorted(known, key=lambda moment: -moment[1])):
        yield Moment(f"{label}, {at:,.0f} s", axis.x(at), 12 + row * _MOMENT_HEIGHT)
