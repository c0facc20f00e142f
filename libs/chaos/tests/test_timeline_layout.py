"""Where a chaos run's picture has its faults and points, and how its numbers are said."""

from itertools import pairwise

import pytest

from fuze_chaos.bands import bands
from fuze_chaos.figures import seconds, spread
from fuze_chaos.outcome import Second, Spread, Strike, Struck
from fuze_chaos.throughput import buckets


def _struck(number: int, target: str = "payment", at: float = 0.0) -> Struck:
    strike = Strike(number=number, kind="kill", target=target, at=at, lasts=1.0)
    return Struck(strike=strike, began=at, ended=at + 1.0)


def test_the_longest_run_has_few_points() -> None:
    assert len(buckets([Second(at=at) for at in range(3000)], 3000)) <= 400
    assert len(buckets((), 100_000)) <= 400


def test_a_point_has_the_mean_of_its_seconds() -> None:
    passed = [Second(at=at, accepted=at % 7, ended=at % 5) for at in range(0, 1001, 4)]
    points = buckets(passed, 1001)

    lasted = [point.ends - point.begins for point in points]
    accepted = sum(point.accepted * of for point, of in zip(points, lasted, strict=True))
    assert accepted == pytest.approx(sum(second.accepted for second in passed))
    assert sum(lasted) == 1001


def test_links_to_one_end_share_a_band() -> None:
    targets = ["payment->postgres", "order->postgres", "order"]
    strikes = [_struck(number, target=target) for number, target in enumerate(targets)]

    assert [band.name for band in bands(strikes, float)] == ["order", "links to postgres"]


def test_very_many_targets_share_a_band() -> None:
    strikes = [_struck(number, target=f"part-{number}") for number in range(40)]
    placed = bands(strikes, float)

    assert len(placed) == 16
    assert sum(len(band.bars) for band in placed) == 40
    assert placed[-1].name == "others"


def test_faults_at_one_time_are_drawn_beside_each_other() -> None:
    (band,) = bands([_struck(number, at=5.0) for number in range(3)], float)

    assert {bar.lane for bar in band.bars} == {0, 1, 2}


def test_a_number_that_has_no_room_is_not_drawn() -> None:
    strikes = [_struck(number, at=5.0 + number) for number in range(12)]
    (band,) = bands(strikes, float)

    for lane in range(band.lanes):
        bars = [bar for bar in band.bars if bar.lane == lane]
        for bar, following in pairwise(bars):
            assert bar.end <= following.left or not bar.numbered


def test_a_percentile_is_a_duration_that_was_measured() -> None:
    assert spread(range(1, 101)) == Spread(count=100, p50=50, p99=99, longest=100)
    assert spread([4.0]) == Spread(count=1, p50=4, p99=4, longest=4)
    assert spread([]) is None


@pytest.mark.parametrize(
    ("duration", "said"),
    [(0.416, "0.42 s"), (33.14, "33.1 s"), (751, "12 min 31 s"), (3840, "1 h 04 min")],
)
def test_a_duration_is_said_as_a_person_would(duration: float, said: str) -> None:
    assert seconds(duration) == said
