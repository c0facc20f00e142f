"""Which fault is drawn where: a band per component or family of links, lanes within it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fuze_chaos.outcome import Struck

_MOST_BANDS = 16
_MOST_LANES = 4
_DENSE = 150
_NARROWEST = 3.0
_GAP = 1.5
_OTHERS = "others"


@dataclass(frozen=True)
class Bar:
    """A fault's place: its lane, its edges, where its tail ends, whether its number has room."""

    struck: Struck
    lane: int
    left: float
    right: float
    moved: float
    numbered: bool = True

    @property
    def end(self) -> float:
        """Where the bar, its tail and its number end."""
        return self.moved + 6.0 * len(str(self.struck.strike.number)) + 4


@dataclass(frozen=True)
class Band:
    """The faults of one component, or of all links that lead to one."""

    name: str
    lanes: int
    bars: tuple[Bar, ...]


def bands(strikes: Sequence[Struck], x: Callable[[float], float]) -> tuple[Band, ...]:
    """Place every fault. The rarest targets share a band where there are very many."""
    gathered: dict[str, list[Struck]] = defaultdict(list)
    for struck in strikes:
        gathered[family(struck.strike.target)].append(struck)
    frequent = sorted(gathered, key=lambda name: -len(gathered[name]))
    if len(frequent) > _MOST_BANDS:
        for name in frequent[_MOST_BANDS - 1 :]:
            gathered[_OTHERS].extend(gathered.pop(name))
    names = sorted(gathered, key=lambda name: (name == _OTHERS, name.startswith("links"), name))
    # Where there are hundreds, a low picture says more than a number at every bar.
    numbers_first = len(strikes) <= _DENSE
    return tuple(_band(name, gathered[name], x, numbers_first=numbers_first) for name in names)


def family(target: str) -> str:
    """Name the band of a target: a link belongs to where it leads, a step to whom it hits."""
    _, arrow, end = target.partition("->")
    return f"links to {end.strip()}" if arrow else target.partition("@")[0]


def _band(
    name: str, strikes: list[Struck], x: Callable[[float], float], *, numbers_first: bool
) -> Band:
    lanes: list[list[Bar]] = []
    for struck in sorted(strikes, key=lambda one: (one.began, one.strike.number)):
        left = x(struck.began)
        right = max(x(struck.ended), left + _NARROWEST)
        moved = max(x(struck.ended + (struck.recovered_after or 0)), right)
        lane = _lane(lanes, left, numbers_first=numbers_first)
        if lane == len(lanes):
            lanes.append([])
        bars = lanes[lane]
        if bars and bars[-1].end > left:
            bars[-1] = replace(bars[-1], numbered=False)
        bars.append(Bar(struck, lane, left, right, moved))
    return Band(name, len(lanes), tuple(bar for bars in lanes for bar in bars))


def _lane(lanes: list[list[Bar]], left: float, *, numbers_first: bool) -> int:
    numbered = [lane for lane, bars in enumerate(lanes) if bars[-1].end <= left]
    clear = [lane for lane, bars in enumerate(lanes) if bars[-1].right + _GAP <= left]
    fresh = [len(lanes)] if len(lanes) < _MOST_LANES else []
    for choice in (numbered, fresh, clear) if numbers_first else (numbered, clear, fresh):
        if choice:
            return choice[0]
    return min(range(len(lanes)), key=lambda lane: lanes[lane][-1].right)
