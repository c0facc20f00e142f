"""The geometry of the page's charts: stacked bars, and latency curves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fuze_bench.cpu_accounting import LOAD_GENERATOR
from fuze_bench.percentiles import percentile
from fuze_bench.results import BenchReport
from fuze_bench.side import ROLES, SANDBOX

WIDTH, LABEL_WIDTH = 760.0, 70.0
_BAR_HEIGHT, _BAR_GAP = 26.0, 10.0
_CURVE_HEIGHT = 220.0
_MAX_NINES = 2.0
"""The curve ends at p99: 1 - 10^-2."""


@dataclass(frozen=True)
class Segment:
    """A part of a bar; `role` names its colour."""

    x: float
    width: float
    role: int
    tooltip: str


@dataclass(frozen=True)
class Bar:
    """A bar with its label and the text at its end."""

    label: str
    y: float
    segments: tuple[Segment, ...]
    text: str
    text_x: float


@dataclass(frozen=True)
class Curve:
    """A line of a chart, as SVG path data."""

    label: str
    path: str


def build_cpu_bars(report: BenchReport) -> tuple[Bar, ...]:
    """Return one bar for each side: its CPU per order, by role, without the outside world."""
    totals = {one.side: one.cpu_total for one in report.summaries}
    scale = _scale(totals)
    titles = {side.name: side.title for side in report.sides}
    bars = []
    for number, one in enumerate(report.summaries):
        x, segments = LABEL_WIDTH, []
        for index, role in enumerate(ROLES):
            if role in (SANDBOX, LOAD_GENERATOR) or not one.cpu.get(role):
                continue
            width = one.cpu[role] * scale
            segments.append(Segment(x, width, index, f"{role}: {one.cpu[role]:.1f} ms per order"))
            x += width
        bars.append(
            Bar(titles[one.side], _y(number), tuple(segments), f"{one.cpu_total:.0f} ms", x + 6)
        )
    return tuple(bars)


def build_speed_bars(report: BenchReport) -> tuple[Bar, ...]:
    """Return one bar for each side: its orders per second at saturation."""
    speeds = {one.side: one.orders_per_second for one in report.summaries}
    scale = _scale(speeds)
    titles = {side.name: side.title for side in report.sides}
    return tuple(
        Bar(
            titles[side],
            _y(number),
            (Segment(LABEL_WIDTH, speed * scale, 0, f"{speed:.2f} orders per second"),),
            f"{speed:.1f}",
            LABEL_WIDTH + speed * scale + 6,
        )
        for number, (side, speed) in enumerate(speeds.items())
    )


def build_latency_curves(report: BenchReport) -> tuple[tuple[Curve, ...], float]:
    """Return a curve of percentiles for each side, at the arrival rate, and the highest latency.

    The x axis is the number of nines, so that the slowest orders have half of the chart.
    """
    values = {
        side.title: [
            latency
            for one in report.rounds
            if one.side == side.name
            for latency in one.arrival_latencies
        ]
        for side in report.sides
    }
    highest = max((percentile(one, 99) for one in values.values() if one), default=1.0)
    curves = tuple(
        Curve(title, _path(latencies, highest)) for title, latencies in values.items() if latencies
    )
    return curves, highest


def bars_height(count: int) -> float:
    """Return the height of a chart with so many bars."""
    return count * (_BAR_HEIGHT + _BAR_GAP)


def percent_x(percent: float) -> float:
    """Return where a percentile is on the x axis of the latency chart."""
    nines = -math.log10(1 - percent / 100)
    return LABEL_WIDTH + nines / _MAX_NINES * (WIDTH - 2 * LABEL_WIDTH)


def _path(latencies: Sequence[float], highest: float) -> str:
    points = []
    for step in range(101):
        percent = 100 * (1 - 10 ** (-_MAX_NINES * step / 100))
        y = _CURVE_HEIGHT * (1 - percentile(latencies, percent) / highest)
        points.append(f"{percent_x(percent):.1f},{y:.1f}")
    return "M" + " L".join(points)


def _y(number: int) -> float:
    return number * (_BAR_HEIGHT + _BAR_GAP)


def _scale(values: Mapping[str, float]) -> float:
    highest = max(values.values(), default=0.0)
    return (WIDTH - 2 * LABEL_WIDTH) / highest if highest else 0.0
