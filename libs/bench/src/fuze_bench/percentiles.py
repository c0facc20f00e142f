"""Medians and percentiles of what was measured."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed.

    It is one of the values: nothing is interpolated. The percentile of no values is NaN.
    """
    if not values:
        return math.nan
    rank = max(1, math.ceil(percent / 100 * len(values)))
    return sorted(values)[rank - 1]


def median_by_key(rounds: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each key over the rounds that have it."""
    collected: dict[str, list[float]] = {}
    for one in rounds:
        for key, value in one.items():
            collected.setdefault(key, []).append(value)
    return {key: statistics.median(values) for key, values in collected.items()}


def spread(values: Sequence[float]) -> float:
    """Return the distance of the lowest and the highest value, as a part of the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0
