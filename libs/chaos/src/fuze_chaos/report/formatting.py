"""What a report says in numbers and in words, on the page as in the terminal."""

import math
import shlex
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from fuze_chaos.outcome import Report, Spread, Struck, Verdict

_MINUTE = 60
_HOUR = 60 * _MINUTE
_SHORT = 10
_IN_SECONDS = 2 * _MINUTE


@dataclass(frozen=True)
class Kind:
    """All faults of one kind: how many, how many failed, how long things took to move again."""

    name: str
    strikes: int
    failed: int
    recovery: Spread | None


def by_kind(strikes: Iterable[Struck]) -> tuple[Kind, ...]:
    """Gather the faults by kind, the most frequent first."""
    gathered: dict[str, list[Struck]] = defaultdict(list)
    for struck in strikes:
        gathered[struck.strike.kind].append(struck)
    kinds = (
        Kind(
            name,
            strikes=len(of_it),
            failed=sum(one.failed is not None for one in of_it),
            recovery=spread(
                one.recovered_after for one in of_it if one.recovered_after is not None
            ),
        )
        for name, of_it in gathered.items()
    )
    return tuple(sorted(kinds, key=lambda kind: (-kind.strikes, kind.name)))


def spread(durations: Iterable[float]) -> Spread | None:
    """Say how durations are spread, each figure being one that was measured; None of none."""
    ordered = sorted(durations)
    if not ordered:
        return None
    return Spread(
        count=len(ordered),
        p50=ordered[math.ceil(len(ordered) * 0.50) - 1],
        p99=ordered[math.ceil(len(ordered) * 0.99) - 1],
        longest=ordered[-1],
    )


def broken(report: Report) -> int:
    """Count the violations of all invariants."""
    return sum(len(check.violations) for check in report.checks)


def headline(report: Report) -> str:
    """Say in one sentence what the verdict rests on."""
    total = len(report.checks)
    failed = sum(check.verdict is Verdict.FAIL for check in report.checks)
    unread = sum(check.verdict is Verdict.UNKNOWN for check in report.checks)
    parts = []
    if failed:
        of_all = f"{failed} of {count(total, 'invariant')} {'is' if failed == 1 else 'are'} broken"
        parts.append(f"{of_all}: {count(broken(report), 'violation')}")
    if unread:
        parts.append(f"{count(unread, 'invariant')} could not be checked to the end")
    if report.stuck:
        parts.append("some orders got stuck")
    if parts:
        return "; ".join(parts) + "."
    if report.verdict is Verdict.PASS:
        return f"All {count(total, 'invariant')} hold over every book."
    return "No invariant says why; look at the log of the run."


def defect(report: Report) -> str | None:
    """Say what a seeded defect makes of the verdict."""
    if report.defect is None:
        return None
    found = {
        Verdict.FAIL: "to fail is right, it was found",
        Verdict.PASS: "it was not found",
        Verdict.UNKNOWN: "nothing that could be read shows it",
    }
    return f"The defect {report.defect} was seeded on purpose: {found[report.verdict]}."


def again(report: Report) -> str:
    """Give the command that runs the same again."""
    command = ["fuze", "chaos", "--seed", str(report.seed), "--orders", str(report.orders)]
    if report.faults != "all":
        command += ["--faults", report.faults]
    if report.rate is not None:
        command += ["--rate", f"{report.rate:g}"]
    if report.follow:
        command.append("--follow")
    if report.defect is not None:
        command += ["--defect", report.defect]
    return shlex.join(command)


def lasted(report: Report) -> float:
    """How long the run went on, until its last fault and its last order had ended."""
    return max(report.load_lasted, report.last_fault_ended, report.last_order_ended or 0)


def seconds(duration: float) -> str:
    """Write a duration as a person would: 0.42 s, 33.1 s, 12 min 31 s, 1 h 04 min."""
    if duration < _SHORT:
        return f"{duration:.2f} s"
    if duration < _IN_SECONDS:
        return f"{duration:.1f} s"
    whole = round(duration)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02} min"


def count(number: int, noun: str) -> str:
    """Write a number of things: 1 order, 10,000 orders."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
