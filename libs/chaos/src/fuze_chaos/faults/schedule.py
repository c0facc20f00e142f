"""The fault schedule of a seed: the same seed gives the same faults in the same order.

The first round of a lane has every kind, the process faults on every process. Then come all
remaining pairs of kind and target, then all pairs again, shuffled.
"""

import random
from collections.abc import Iterator

from fuze_chaos.faults.catalog import FAULT_KINDS, FaultKind, Lane, ScheduledFault

_GAP_SECONDS = (0.3, 1.7)


def build_schedule(seed: int, lane: Lane, kinds: frozenset[str]) -> Iterator[ScheduledFault]:
    """Yield the faults of a lane without end; none if the lane has none of the kinds.

    `at` is the earliest start, in seconds from the start of the workload.
    """
    rng = random.Random(f"{seed}/{lane}")  # noqa: S311 - reproducible on purpose
    requested = [kind for kind in FAULT_KINDS if kind.lane is lane and kind.name in kinds]
    at = 0.0
    for index, (kind, target) in enumerate(_pairs(requested, rng), start=1):
        at += rng.uniform(*_GAP_SECONDS)
        duration = rng.uniform(*kind.duration)
        yield ScheduledFault(
            # Another remainder in each lane: unique across all of them.
            number=len(Lane) * index - list(Lane).index(lane),
            kind=kind.name,
            target=target,
            at=round(at, 2),
            duration=round(duration, 2),
        )
        at += duration


def first_round_length(kinds: frozenset[str], lane: Lane) -> int:
    """Return after how many faults of a lane each of the kinds was scheduled."""
    return sum(
        len(kind.first_round) or 1
        for kind in FAULT_KINDS
        if kind.lane is lane and kind.name in kinds
    )


def _pairs(requested: list[FaultKind], rng: random.Random) -> Iterator[tuple[FaultKind, str]]:
    pairs = [(kind, target) for kind in requested for target in kind.targets]
    if not pairs:
        return
    first = [
        (kind, target)
        for kind in requested
        for target in kind.first_round or (rng.choice(kind.targets),)
    ]
    rng.shuffle(first)
    yield from first
    rest = [pair for pair in pairs if pair not in first]
    rng.shuffle(rest)
    yield from rest
    while True:
        rng.shuffle(pairs)
        yield from pairs
