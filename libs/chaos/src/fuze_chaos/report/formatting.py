"""Sentences and figures that the HTML report and the terminal summary share."""

import math
import shlex
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from fuze_chaos.checker.results import Verdict
from fuze_chaos.faults.catalog import InjectedFault
from fuze_chaos.report.report import DurationSummary, Report

_OF_MONEY_AND_GOODS = ("I1", "I4", "I5", "I6")
"""What an operator must not be able to break: charges, dispatches, refunds, parcels."""

_MINUTE = 60
_HOUR = 60 * _MINUTE
_TWO_DECIMALS_BELOW = 10
_ONE_DECIMAL_BELOW = 2 * _MINUTE


@dataclass(frozen=True)
class FaultStatistics:
    """All faults of one kind: how many, how many could not be injected, recovery times."""

    kind: str
    count: int
    not_injected: int
    recovery: DurationSummary | None


def statistics_by_kind(faults: Iterable[InjectedFault]) -> tuple[FaultStatistics, ...]:
    """Group faults by kind, the most frequent kind first."""
    by_kind: dict[str, list[InjectedFault]] = defaultdict(list)
    for fault in faults:
        by_kind[fault.scheduled.kind].append(fault)
    statistics = (
        FaultStatistics(
            kind,
            count=len(group),
            not_injected=count_not_injected(group),
            recovery=summarize_durations(
                one.recovered_after for one in group if one.recovered_after is not None
            ),
        )
        for kind, group in by_kind.items()
    )
    return tuple(sorted(statistics, key=lambda one: (-one.count, one.kind)))


def count_not_injected(faults: Iterable[InjectedFault]) -> int:
    """Count the faults that could not be injected."""
    return sum(fault.error is not None for fault in faults)


def summarize_durations(durations: Iterable[float]) -> DurationSummary | None:
    """Summarize durations, each figure being a measured one (nearest rank); None if empty."""
    ordered = sorted(durations)
    if not ordered:
        return None
    return DurationSummary(
        count=len(ordered),
        p50=ordered[math.ceil(len(ordered) * 0.50) - 1],
        p99=ordered[math.ceil(len(ordered) * 0.99) - 1],
        max=ordered[-1],
    )


def headline(report: Report) -> str:
    """Return one sentence that explains the verdict."""
    total = len(report.checks)
    failed = sum(check.verdict is Verdict.FAIL for check in report.checks)
    unknown = sum(check.verdict is Verdict.UNKNOWN for check in report.checks)
    parts = []
    if failed:
        verb = "is" if failed == 1 else "are"
        violations = format_count(report.violation_count, "violation")
        parts.append(
            f"{failed} of {format_count(total, 'invariant')} {verb} violated: {violations}"
        )
    if unknown:
        parts.append(f"{format_count(unknown, 'invariant')} could not be checked completely")
    if report.diagnostics:
        parts.append("some orders did not complete in time")
    if parts:
        return "; ".join(parts) + "."
    if report.verdict is Verdict.PASS:
        return f"All {format_count(total, 'invariant')} hold in every system of record."
    return "No invariant explains the verdict; see the log of the run."


def explain_defects(report: Report) -> str | None:
    """Return what the verdict means for the injected defects; None without one."""
    if not report.defects:
        return None
    meaning = {
        Verdict.FAIL: "the checker has found violations",
        Verdict.PASS: "the checker has found no violation",
        Verdict.UNKNOWN: "no readable system of record shows a violation",
    }
    names = ", ".join(report.defects)
    return f"Injected on purpose: {names}; {meaning[report.verdict]}."


def explain_operators(report: Report) -> str | None:
    """Return what operators did, and whether it cost money or goods; None if they did nothing."""
    if not report.operated_orders:
        return None
    total = sum(report.operator_actions.values())
    kinds = ", ".join(
        f"{kind} {count:,}"
        for kind, count in sorted(report.operator_actions.items(), key=lambda pair: -pair[1])
    )
    orders = format_count(len(report.operated_orders), "order")
    return (
        f"Operators acted {format_count(total, 'time')} on {orders} ({kinds}); "
        f"{_verdict_of_operated(report)}."
    )


def _verdict_of_operated(report: Report) -> str:
    checks = [one for one in report.checks if one.invariant in _OF_MONEY_AND_GOODS]
    operated = frozenset(report.operated_orders)
    violated = [
        check.invariant
        for check in checks
        if any(violation.order_id in operated for violation in check.violations)
    ]
    unknown = [one.invariant for one in checks if one.verdict is Verdict.UNKNOWN]
    if violated:
        return f"{', '.join(violated)} violated by some of them"
    if unknown:
        return f"{', '.join(unknown)} could not be checked completely"
    return f"{', '.join(one.invariant for one in checks)} hold for all of them"


def rerun_command(report: Report) -> str:
    """Return the command that repeats the run."""
    command = ["fuze", "chaos", "--seed", str(report.seed), "--orders", str(report.orders)]
    if report.fault_kinds != "all":
        command += ["--faults", report.fault_kinds]
    if report.rate is not None:
        command += ["--rate", f"{report.rate:g}"]
    if report.track_delivery:
        command.append("--track-delivery")
    for defect in report.defects:
        command += ["--inject-defect", defect]
    return shlex.join(command)


def format_duration(seconds: float) -> str:
    """Format a duration: 0.42 s, 33.1 s, 12 min 31 s, 1 h 04 min."""
    if seconds < _TWO_DECIMALS_BELOW:
        return f"{seconds:.2f} s"
    if seconds < _ONE_DECIMAL_BELOW:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"


def format_count(number: int, noun: str) -> str:
    """Format a number of things: 1 order, 10,000 orders."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_target(target: str) -> str:
    """Format a fault's target: `payment->postgres` gets a real arrow."""
    return target.replace("->", " → ")
