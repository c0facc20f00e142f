"""The results of the checker: a verdict and the violations of each invariant."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, JsonValue


class Verdict(StrEnum):
    """The outcome of a check. `UNKNOWN` means that a system could not be read: never a pass."""

    PASS = "pass"  # noqa: S105 - a verdict, no secret
    FAIL = "fail"
    UNKNOWN = "unknown"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Violation(_Model):
    """One violation of an invariant, by an order or by the system as a whole.

    `evidence` is what each system of record has, `history` the order's Temporal history with one
    line per event, `nearby_faults` the numbers of the faults during the order's lifetime, nearest
    to its end first.
    """

    invariant: str
    order_id: str | None
    description: str
    at: float | None = None
    evidence: dict[str, JsonValue] = {}
    history: tuple[str, ...] = ()
    nearby_faults: tuple[int, ...] = ()


class CheckResult(_Model):
    """The result of one invariant: how much was checked, what violates it, what was unreadable."""

    invariant: str
    slug: str
    title: str
    verdict: Verdict
    checked: int
    violations: tuple[Violation, ...] = ()
    unreadable: tuple[str, ...] = ()
