"""The layout of faults in the timeline: one band per component, lanes within it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fuze_chaos.faults.catalog import InjectedFault

_MAX_BANDS = 16
_MAX_LANES = 4
_DENSE = 150
_MIN_WIDTH = 3.0
_GAP = 1.5
_OTHERS = "others"


@dataclass(frozen=True)
class Bar:
    """A fault's lane and edges; `recovered` is where its recovery ends.

    `has_number` is whether there is room for its number.
    """

    fault: InjectedFault
    lane: int
    left: float
    right: float
    recovered: float
    has_number: bool = True

    @property
    def end(self) -> float:
        """The right edge of the bar, its recovery and its number."""
        return self.recovered + 6.0 * len(str(self.fault.scheduled.number)) + 4


@dataclass(frozen=True)
class Band:
    """The faults of one component, or of all proxies that lead to one."""

    name: str
    lanes: int
    bars: tuple[Bar, ...]


def build_bands(faults: Sequence[InjectedFault], x: Callable[[float], float]) -> tuple[Band, ...]:
    """Lay out every fault; of too many components, the rarest share a band."""
    grouped: dict[str, list[InjectedFault]] = defaultdict(list)
    for fault in faults:
        grouped[_band_of(fault.scheduled.target)].append(fault)
    by_frequency = sorted(grouped, key=lambda name: -len(grouped[name]))
    if len(by_frequency) > _MAX_BANDS:
        for name in by_frequency[_MAX_BANDS - 1 :]:
            grouped[_OTHERS].extend(grouped.pop(name))
    names = sorted(grouped, key=lambda name: (name == _OTHERS, name.startswith("proxies"), name))
    # With hundreds of faults, a low chart is more useful than a number at every bar.
    numbers_first = len(faults) <= _DENSE
    return tuple(_build_band(name, grouped[name], x, numbers_first=numbers_first) for name in names)


def _band_of(target: str) -> str:
    """Return the band of a target: a proxy belongs to its server, a step to its component."""
    _, arrow, server = target.partition("->")
    return f"proxies to {server.strip()}" if arrow else target.partition("@")[0]


def _build_band(
    name: str, faults: list[InjectedFault], x: Callable[[float], float], *, numbers_first: bool
) -> Band:
    lanes: list[list[Bar]] = []
    for fault in sorted(faults, key=lambda one: (one.started, one.scheduled.number)):
        left = x(fault.started)
        right = max(x(fault.ended), left + _MIN_WIDTH)
        recovered = max(x(fault.ended + (fault.recovered_after or 0)), right)
        lane = _choose_lane(lanes, left, numbers_first=numbers_first)
        if lane == len(lanes):
            lanes.append([])
        bars = lanes[lane]
        if bars and bars[-1].end > left:
            bars[-1] = replace(bars[-1], has_number=False)
        bars.append(Bar(fault, lane, left, right, recovered))
    return Band(name, len(lanes), tuple(bar for bars in lanes for bar in bars))


def _choose_lane(lanes: list[list[Bar]], left: float, *, numbers_first: bool) -> int:
    with_number = [lane for lane, bars in enumerate(lanes) if bars[-1].end <= left]
    without_number = [lane for lane, bars in enumerate(lanes) if bars[-1].right + _GAP <= left]
    new = [len(lanes)] if len(lanes) < _MAX_LANES else []
    preference = (
        (with_number, new, without_number) if numbers_first else (with_number, without_number, new)
    )
    for choice in preference:
        if choice:
            return choice[0]
    return min(range(len(lanes)), key=lambda lane: lanes[lane][-1].right)
