"""The fault schedule: reproducible by its seed, and complete."""

from collections import Counter
from itertools import islice, pairwise

import pytest

from fuze_chaos.faults.catalog import (
    FAULT_KINDS,
    FAULT_NAMES,
    Lane,
    ScheduledFault,
    format_kinds,
)
from fuze_chaos.faults.schedule import build_schedule, first_round_length

ALL = frozenset(FAULT_NAMES)


def schedule(lane: Lane, count: int, seed: int = 1) -> list[ScheduledFault]:
    return list(islice(build_schedule(seed, lane, ALL), count))


@pytest.mark.parametrize("lane", Lane)
def test_the_same_seed_gives_the_same_faults(lane: Lane) -> None:
    assert schedule(lane, 300, seed=7) == schedule(lane, 300, seed=7)


@pytest.mark.parametrize("lane", Lane)
def test_another_seed_gives_other_faults(lane: Lane) -> None:
    assert schedule(lane, 20, seed=7) != schedule(lane, 20, seed=8)


@pytest.mark.parametrize("lane", Lane)
def test_the_first_round_has_every_kind_of_its_lane(lane: Lane) -> None:
    kinds = {one.kind for one in schedule(lane, first_round_length(ALL, lane))}

    assert kinds == {kind.name for kind in FAULT_KINDS if kind.lane is lane}


def test_the_first_round_kills_every_process() -> None:
    first = schedule(Lane.PROCESSES, first_round_length(ALL, Lane.PROCESSES))

    assert Counter(one.target for one in first if one.kind == "kill") == Counter(
        ("order", "payment", "shipping", "webhooks", "gateway", "postgres", "temporal", "sandbox")
    )


@pytest.mark.parametrize("lane", Lane)
def test_every_kind_hits_every_target_before_any_repeats(lane: Lane) -> None:
    pairs = [(kind.name, one) for kind in FAULT_KINDS if kind.lane is lane for one in kind.targets]

    scheduled = [(one.kind, one.target) for one in schedule(lane, len(pairs))]

    assert Counter(scheduled) == Counter(pairs)


def test_fault_numbers_are_unique_across_the_lanes() -> None:
    numbers = [one.number for lane in Lane for one in schedule(lane, 200)]

    assert len(set(numbers)) == len(numbers)


def test_a_fault_starts_after_the_previous_one_of_its_lane_has_ended() -> None:
    faults = schedule(Lane.EXTERNAL, 100)

    assert all(later.at >= earlier.at + earlier.duration for earlier, later in pairwise(faults))


def test_only_requested_kinds_are_scheduled() -> None:
    faults = islice(build_schedule(1, Lane.EXTERNAL, frozenset({"reset", "kill"})), 30)

    assert {one.kind for one in faults} == {"reset"}


def test_without_kinds_the_schedule_is_empty() -> None:
    assert list(build_schedule(1, Lane.EXTERNAL, frozenset())) == []


@pytest.mark.parametrize(
    ("kinds", "formatted"),
    [(set(FAULT_NAMES), "all"), (set(), "none"), ({"reset", "kill"}, "kill,reset")],
)
def test_kinds_are_formatted_as_the_option_accepts_them(kinds: set[str], formatted: str) -> None:
    assert format_kinds(frozenset(kinds)) == formatted
