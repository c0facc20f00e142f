"""Medians and percentiles."""

import math

from fuze_bench.percentiles import median_by_key, percentile, spread


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]

    assert [percentile(values, percent) for percent in (1, 50, 99, 100)] == [1, 50, 99, 100]


def test_the_highest_percentile_of_few_values_is_the_highest_value() -> None:
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0


def test_the_lowest_percentile_is_the_lowest_value() -> None:
    assert percentile([3.0, 1.0, 2.0], 0) == 1.0


def test_no_values_have_no_percentile() -> None:
    assert math.isnan(percentile([], 50))


def test_a_median_is_over_the_rounds_that_have_the_key() -> None:
    rounds = [{"a": 1.0, "b": 5.0}, {"a": 3.0}, {"a": 2.0}]

    assert median_by_key(rounds) == {"a": 2.0, "b": 5.0}


def test_the_spread_is_a_part_of_the_median() -> None:
    assert spread([9.0, 10.0, 12.0]) == 0.3
