"""The layout of the timeline and of the throughput chart, and the formatting of figures."""

from itertools import pairwise

import pytest

from fuze_chaos.faults.catalog import InjectedFault, ScheduledFault
from fuze_chaos.report.formatting import format_duration, summarize_durations
from fuze_chaos.report.report import DurationSummary, ThroughputSample
from fuze_chaos.report.throughput_chart import build_buckets
from fuze_chaos.report.timeline_layout import build_bands


def _fault(number: int, target: str = "payment", at: float = 0.0) -> InjectedFault:
    scheduled = ScheduledFault(number=number, kind="kill", target=target, at=at, duration=1.0)
    return InjectedFault(scheduled=scheduled, started=at, ended=at + 1.0)


def test_the_longest_run_has_few_points() -> None:
    assert len(build_buckets([ThroughputSample(at=at) for at in range(3000)], 3000)) <= 400
    assert len(build_buckets((), 100_000)) <= 400


def test_a_point_is_the_mean_of_its_seconds() -> None:
    samples = [ThroughputSample(at=at, accepted=at % 7, ended=at % 5) for at in range(0, 1001, 4)]
    buckets = build_buckets(samples, 1001)

    lengths = [one.end - one.start for one in buckets]
    accepted = sum(one.accepted * length for one, length in zip(buckets, lengths, strict=True))
    assert accepted == pytest.approx(sum(one.accepted for one in samples))
    assert sum(lengths) == 1001


def test_proxies_to_one_server_share_a_band() -> None:
    targets = ["payment->postgres", "order->postgres", "order"]
    faults = [_fault(number, target=target) for number, target in enumerate(targets)]

    assert [band.name for band in build_bands(faults, float)] == ["order", "proxies to postgres"]


def test_the_rarest_of_very_many_targets_share_a_band() -> None:
    faults = [_fault(number, target=f"part-{number}") for number in range(40)]
    bands = build_bands(faults, float)

    assert len(bands) == 16
    assert sum(len(band.bars) for band in bands) == 40
    assert bands[-1].name == "others"


def test_concurrent_faults_are_in_separate_lanes() -> None:
    (band,) = build_bands([_fault(number, at=5.0) for number in range(3)], float)

    assert {bar.lane for bar in band.bars} == {0, 1, 2}


def test_a_number_without_room_is_omitted() -> None:
    faults = [_fault(number, at=5.0 + number) for number in range(12)]
    (band,) = build_bands(faults, float)

    for lane in range(band.lanes):
        bars = [bar for bar in band.bars if bar.lane == lane]
        for bar, following in pairwise(bars):
            assert bar.end <= following.left or not bar.has_number


def test_a_percentile_is_a_measured_duration() -> None:
    assert summarize_durations(range(1, 101)) == DurationSummary(count=100, p50=50, p99=99, max=100)
    assert summarize_durations([4.0]) == DurationSummary(count=1, p50=4, p99=4, max=4)
    assert summarize_durations([]) is None


@pytest.mark.parametrize(
    ("seconds", "formatted"),
    [(0.416, "0.42 s"), (33.14, "33.1 s"), (751, "12 min 31 s"), (3840, "1 h 04 min")],
)
def test_a_duration_is_formatted_in_readable_units(seconds: float, formatted: str) -> None:
    assert format_duration(seconds) == formatted
