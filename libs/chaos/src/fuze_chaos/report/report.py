"""The report of a run, as `report.json` has it.

All durations are in seconds. Moments are in seconds from the start of the run, so that faults,
orders and violations share one axis.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from fuze_chaos.checker.results import CheckResult, Verdict
from fuze_chaos.faults.catalog import InjectedFault


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class ThroughputSample(_Model):
    """One second of a run: orders accepted, orders ended, requests that failed.

    A request has failed if there was no response, or a 429 or 503.
    """

    at: int
    accepted: int = 0
    ended: int = 0
    failed_requests: int = 0


class DurationSummary(_Model):
    """The distribution of a number of durations."""

    count: int
    p50: float
    p99: float
    max: float


class Report(_Model):
    """The report of one run.

    `operator_actions` counts what operators did, by kind; `operated_orders` are the orders whose
    workflow or shipment it was done to.
    """

    verdict: Verdict
    seed: int
    orders: int
    defects: tuple[str, ...] = ()
    track_delivery: bool = False
    fault_kinds: str = "all"
    rate: float | None = None
    started_at: datetime
    workload_ended: float
    last_fault_ended: float
    last_order_ended: float | None
    checks: tuple[CheckResult, ...]
    faults: tuple[InjectedFault, ...]
    throughput: tuple[ThroughputSample, ...]
    final_statuses: dict[str, int]
    responses: dict[str, int]
    recovery: DurationSummary | None
    order_duration: DurationSummary | None
    operator_actions: dict[str, int] = {}
    operated_orders: tuple[str, ...] = ()
    diagnostics: tuple[str, ...] = ()
    versions: dict[str, str] = {}

    @property
    def duration(self) -> float:
        """Seconds until the workload, the last fault and the last order had ended."""
        return max(self.workload_ended, self.last_fault_ended, self.last_order_ended or 0)

    @property
    def violation_count(self) -> int:
        """The violations of all invariants."""
        return sum(len(check.violations) for check in self.checks)
