"""Rounds and reports with figures that a test chooses."""

from datetime import UTC, datetime

from fuze_bench.config import QUICK, BenchConfig
from fuze_bench.results import BenchReport, SideInfo, SideRound
from fuze_bench.run import build_report
from fuze_bench.side import ORDER, POSTGRES, SANDBOX, TEMPORAL


def build_round(side: str, number: int = 0, **figures: object) -> SideRound:
    """Return a round of a side that ships 10 orders a second for 60 ms each."""
    fields: dict[str, object] = {
        "side": side,
        "round": number,
        "orders_per_second": 10.0,
        "cpu": {TEMPORAL: 30.0, ORDER: 20.0, POSTGRES: 10.0, SANDBOX: 5.0, "load generator": 2.0},
        "writes": 8.0,
        "transactions": 20.0,
        "wal_bytes": 12_000.0,
        "memory_bytes": 400_000_000,
        "idle_percent": 1.5,
        "processes": {ORDER: 1},
        "saturated_latencies": [1.0, 2.0],
        "rate": 4.0,
        "arrival_latencies": [0.25, 0.5],
        "repeated_requests": 0,
    }
    return SideRound.model_validate(fields | figures)


def build_bench_report(*rounds: SideRound) -> BenchReport:
    """Return the report over these rounds."""
    names = tuple(dict.fromkeys(one.side for one in rounds))
    return build_report(
        BenchConfig(sides=names, **QUICK),
        rounds,
        sides=[
            SideInfo(
                name=name,
                title=name.title(),
                setup="One process.",
                versions={"lib": "1.2"},
                limits=("<slow>",),
            )
            for name in names
        ],
        durability={"fsync": "on"},
        started_at=datetime(2026, 11, 27, 12, tzinfo=UTC),
        seconds=120,
    )
