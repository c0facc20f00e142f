"""What a run found out: the report's shape, as `report.json` has it. Times are in seconds.

Moments are counted from the run's start, so that faults, orders and violations share one axis.
"""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue


class Verdict(StrEnum):
    """What a check says. `UNKNOWN` is a book that could not be read to its end: never a pass."""

    PASS = "pass"  # noqa: S105 - a verdict, no secret
    FAIL = "fail"
    UNKNOWN = "unknown"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Strike(_Part):
    """One fault as the seed has it: `target` is a component, or a link `payment->postgres`."""

    number: int
    kind: str
    target: str
    at: float
    lasts: float


class Struck(_Part):
    """One fault as it was: `recovered_after` is how long after its end things moved again.

    `witness` names what moved; both are None where nothing was there to move. `note` says what
    was peculiar, `failed` why it could not be carried out.
    """

    strike: Strike
    began: float
    ended: float
    note: str | None = None
    failed: str | None = None
    witness: str | None = None
    recovered_after: float | None = None


class Violation(_Part):
    """One order, or one book, that breaks an invariant.

    `evidence` has what each book says, `history` the order's Temporal history in a line an event,
    `near` the numbers of the strikes within its life, nearest first.
    """

    invariant: str
    order_id: str | None
    what: str
    at: float | None = None
    evidence: dict[str, JsonValue] = {}
    history: tuple[str, ...] = ()
    near: tuple[int, ...] = ()


class Check(_Part):
    """One invariant: how many things were looked at, what breaks it, what could not be read."""

    invariant: str
    title: str
    verdict: Verdict
    looked_at: int
    violations: tuple[Violation, ...] = ()
    unread: tuple[str, ...] = ()


class Second(_Part):
    """One second of the run: orders accepted, orders ended, requests that were turned away."""

    at: int
    accepted: int = 0
    ended: int = 0
    turned_away: int = 0


class Spread(_Part):
    """How a number of durations are spread."""

    count: int
    p50: float
    p99: float
    longest: float


class Report(_Part):
    """A whole run."""

    verdict: Verdict
    seed: int
    orders: int
    defect: str | None
    follow: bool = False
    faults: str = "all"
    rate: float | None = None
    started_at: datetime
    load_lasted: float
    last_fault_ended: float
    last_order_ended: float | None
    checks: tuple[Check, ...]
    strikes: tuple[Struck, ...]
    throughput: tuple[Second, ...]
    ends: dict[str, int]
    answers: dict[str, int]
    recovery: Spread | None
    life: Spread | None
    stuck: tuple[str, ...] = ()
    versions: dict[str, str] = {}
