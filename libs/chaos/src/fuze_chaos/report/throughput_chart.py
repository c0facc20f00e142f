"""The throughput chart: orders accepted and ended, and failed requests, per second."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fuze_chaos.report.report import ThroughputSample

_MAX_POINTS = 300
_ORDERS_HEIGHT = 84.0
_FAILED_HEIGHT = 44.0
_GAP = 22.0

ToX = Callable[[float], float]


@dataclass(frozen=True)
class Bucket:
    """Some seconds as one point; its values are per second."""

    start: float
    end: float
    accepted: float
    ended: float
    failed_requests: float

    @property
    def middle(self) -> float:
        """The moment at which the point is drawn."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class HoverArea:
    """An invisible rectangle with the values of one bucket as its tooltip."""

    x: float
    width: float
    tooltip: str


@dataclass(frozen=True)
class ThroughputChart:
    """The geometry of both charts: SVG path data, scales and edges."""

    top: float
    orders_base: float
    failed_base: float
    max_orders: float
    max_failed: float
    accepted_area: str
    accepted_line: str
    ended_line: str
    failed_columns: str
    hover_areas: tuple[HoverArea, ...]

    @property
    def failed_top(self) -> float:
        """The top of the lower chart."""
        return self.orders_base + _GAP


def build_buckets(samples: Sequence[ThroughputSample], span: float) -> tuple[Bucket, ...]:
    """Group samples so that the longest run has few points; a missing second was idle."""
    width = max(1, math.ceil(span / _MAX_POINTS))
    grouped: dict[int, list[ThroughputSample]] = defaultdict(list)
    for sample in samples:
        grouped[sample.at // width].append(sample)
    buckets = []
    for number in range(math.ceil(span / width)):
        start = number * width
        length = min(width, max(span - start, 1))  # the last bucket is often shorter
        group = grouped.get(number, [])
        buckets.append(
            Bucket(
                start,
                min(start + width, span),
                accepted=sum(one.accepted for one in group) / length,
                ended=sum(one.ended for one in group) / length,
                failed_requests=sum(one.failed_requests for one in group) / length,
            )
        )
    return tuple(buckets)


def build_chart(
    samples: Sequence[ThroughputSample], span: float, x: ToX, top: float
) -> ThroughputChart:
    """Lay out both charts below `top`."""
    buckets = build_buckets(samples, span)
    max_orders = max((max(one.accepted, one.ended) for one in buckets), default=0)
    max_failed = max((one.failed_requests for one in buckets), default=0)
    orders_base = top + _ORDERS_HEIGHT
    failed_base = orders_base + _GAP + _FAILED_HEIGHT

    def y(value: float) -> float:
        return orders_base - (value / max_orders * _ORDERS_HEIGHT if max_orders else 0)

    accepted = [(x(one.middle), y(one.accepted)) for one in buckets]
    ended = [(x(one.middle), y(one.ended)) for one in buckets]
    return ThroughputChart(
        top=top,
        orders_base=orders_base,
        failed_base=failed_base,
        max_orders=max_orders,
        max_failed=max_failed,
        accepted_area=_area(accepted, orders_base),
        accepted_line=_line(accepted),
        ended_line=_line(ended),
        failed_columns=_columns(buckets, x, max_failed, failed_base),
        hover_areas=tuple(_hover_area(one, x) for one in buckets),
    )


def _line(points: list[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _area(points: list[tuple[float, float]], base: float) -> str:
    return f"{_line(points)} L{points[-1][0]:.1f},{base:.1f} L{points[0][0]:.1f},{base:.1f} Z"


def _columns(buckets: Sequence[Bucket], x: ToX, highest: float, base: float) -> str:
    return " ".join(
        f"M{x(one.start):.1f},{base:.1f} "
        f"V{base - one.failed_requests / highest * _FAILED_HEIGHT:.1f} "
        f"H{x(one.end):.1f} V{base:.1f} Z"
        for one in buckets
        if one.failed_requests
    )


def _hover_area(bucket: Bucket, x: ToX) -> HoverArea:
    left = x(bucket.start)
    return HoverArea(
        left,
        x(bucket.end) - left,
        f"{bucket.start:.0f} to {bucket.end:.0f} s: {bucket.accepted:.1f} accepted, "
        f"{bucket.ended:.1f} ended, {bucket.failed_requests:.1f} failed requests per second",
    )
