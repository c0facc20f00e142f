"""Summaries of rounds, and ratios between sides."""

import pytest
from report_builder import build_bench_report, build_round

from fuze_bench.config import QUICK, BenchConfig
from fuze_bench.results import summarize
from fuze_bench.side import ORDER, POSTGRES, SANDBOX, TEMPORAL


def test_a_summary_has_the_medians_of_the_rounds() -> None:
    rounds = [
        build_round("fuze", number, orders_per_second=speed, writes=writes)
        for number, (speed, writes) in enumerate([(8.0, 9.0), (7.0, 8.0), (9.0, 10.0)])
    ]

    summary = summarize("fuze", rounds)

    assert (summary.orders_per_second, summary.writes) == (8.0, 9.0)
    assert summary.spread == 0.25


def test_the_total_leaves_out_what_stands_for_the_outside_world() -> None:
    cpu = {TEMPORAL: 70.0, ORDER: 40.0, POSTGRES: 10.0, SANDBOX: 99.0, "load generator": 99.0}

    summary = summarize("fuze", [build_round("fuze", cpu=cpu)])

    assert (summary.cpu_total, summary.cpu_own) == (120.0, 50.0)


def test_latencies_of_all_rounds_are_ranked_together() -> None:
    rounds = [
        build_round("fuze", 0, arrival_latencies=[0.1] * 98),
        build_round("fuze", 1, arrival_latencies=[0.2, 0.9]),
    ]

    arrivals = summarize("fuze", rounds).arrivals

    assert (arrivals.p50, arrivals.p99, arrivals.count) == (0.1, 0.2, 100)


def test_ratios_compare_fuze_with_each_other_side() -> None:
    report = build_bench_report(
        build_round("fuze", orders_per_second=8.0, arrival_latencies=[0.6]),
        build_round("floor", orders_per_second=10.0, cpu={TEMPORAL: 15.0, ORDER: 10.0},
                    arrival_latencies=[0.4]),
        build_round("dbos", orders_per_second=20.0, cpu={"application": 20.0, POSTGRES: 5.0}),
    )  # fmt: skip

    ratios = {ratio.name: ratio.value for ratio in report.ratios}

    assert ratios == pytest.approx(
        {
            "orders per second, Fuze / floor": 0.8,
            "orders per second, Fuze / dbos": 0.4,
            "CPU of the Temporal server, Fuze / floor": 2.0,
            "CPU of the order worker, Fuze / floor": 2.0,
            "p99 at the arrival rate, Fuze / floor": 1.5,
            "CPU without Temporal's, Fuze / all of dbos": 1.2,
        }
    )


def test_without_fuze_nothing_is_compared() -> None:
    assert build_bench_report(build_round("floor")).ratios == ()


def test_every_second_round_has_the_sides_in_reverse() -> None:
    config = BenchConfig(sides=("fuze", "floor", "dbos"), **QUICK)

    assert [config.order_of(number)[0] for number in range(3)] == ["fuze", "dbos", "fuze"]
