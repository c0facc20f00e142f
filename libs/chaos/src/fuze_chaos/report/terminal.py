"""The end of a run in a terminal: what it found, in what fits into eighty columns."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fuze_chaos.figures import (
    again,
    broken,
    by_kind,
    count,
    defect,
    headline,
    lasted,
    seconds,
)
from fuze_chaos.outcome import Report, Spread, Verdict, Violation

_WIDTH = 80  # what fits everywhere
_SHOWN = 5
_LONGEST = 240
_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}


def summary(report: Report, where: Path | None = None) -> RenderableType:
    """Sum a run up; `where` is the report that says the rest."""
    return Group(*_parts(report, where))


def _parts(report: Report, where: Path | None) -> Iterator[RenderableType]:
    verdict = (report.verdict.upper(), f"bold {_STYLES[report.verdict]}")
    yield _text("\n", verdict, f"  {headline(report)}")
    said = defect(report)
    if said:
        yield _within((said, "bold"))
    yield _within(
        f"seed {report.seed}, {count(report.orders, 'order')}, "
        f"{count(len(report.strikes), 'fault')}, {seconds(lasted(report))}\n"
    )
    yield _invariants(report)
    yield from _violations(report)
    yield from _counts("orders ended as", report.ends)
    yield from _counts("clients heard", report.answers)
    if report.strikes:
        yield Text()
        yield _faults(report)
    yield from _listed("written down of what got stuck", report.stuck)
    yield Text(f"\nthe same again: {again(report)}")
    if where is not None:
        yield Text(f"the whole report: {where}")


def _invariants(report: Report) -> Table:
    table = _table("", "invariant")
    table.width = _WIDTH
    table.columns[1].ratio = 1
    for name in ("verdict", "looked at", "broken", "unread"):
        table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for check in report.checks:
        table.add_row(
            check.invariant,
            Text(check.title),
            Text(check.verdict.upper(), _STYLES[check.verdict]),
            f"{check.looked_at:,}",
            f"{len(check.violations):,}",
            f"{len(check.unread):,}",
        )
    return table


def _violations(report: Report) -> Iterator[RenderableType]:
    """Tell the first of every invariant before a second one of any."""
    found = [
        (nth, violation)
        for check in report.checks
        for nth, violation in enumerate(check.violations[:_SHOWN])
    ]
    shown = [violation for _, violation in sorted(found, key=lambda pair: pair[0])[:_SHOWN]]
    if shown:
        yield _text("\n", ("violations", "dim"))
    for violation in shown:
        yield from _violation(violation)
    rest = broken(report) - len(shown)
    if rest:
        yield _within((f"and {count(rest, 'more violation')}: see the report", "dim"))
    unread = [f"{check.invariant} {one}" for check in report.checks for one in check.unread]
    yield from _listed("could not be read to the end", unread)


def _violation(violation: Violation) -> Iterator[RenderableType]:
    moment = f" at {violation.at:,.1f} s" if violation.at is not None else ""
    whose = f" {violation.order_id or 'of no one order'}{moment}"
    what = violation.what
    yield _within((violation.invariant, "bold red"), whose)
    yield _within(f"{what[:_LONGEST]}…" if len(what) > _LONGEST else what, by=5)


def _counts(title: str, counts: Mapping[str, int]) -> Iterator[RenderableType]:
    if counts:
        ordered = sorted(counts.items(), key=lambda pair: -pair[1])
        yield _text("\n", (title, "dim"))
        yield _within(", ".join(f"{name} {times:,}" for name, times in ordered))


def _faults(report: Report) -> Table:
    table = _table("fault")
    for name in ("times", "failed", "moved again", "p50", "p99", "longest"):
        table.add_column(name, justify="right", no_wrap=True)
    for kind in by_kind(report.strikes):
        table.add_row(
            Text(kind.name), f"{kind.strikes:,}", f"{kind.failed:,}", *_spread(kind.recovery)
        )
    failed = sum(struck.failed is not None for struck in report.strikes)
    table.add_row(
        "all", f"{len(report.strikes):,}", f"{failed:,}", *_spread(report.recovery), style="bold"
    )
    return table


def _spread(spread: Spread | None) -> tuple[str, ...]:
    if spread is None:
        return ("0", "-", "-", "-")
    return (f"{spread.count:,}", *map(seconds, (spread.p50, spread.p99, spread.longest)))


def _listed(title: str, lines: Sequence[str]) -> Iterator[RenderableType]:
    if lines:
        yield _text("\n", (title, "dim"))
        yield from (_within(line) for line in lines[:_SHOWN])
    if len(lines) > _SHOWN:
        yield _within((f"and {len(lines) - _SHOWN:,} more: see the report", "dim"))


def _table(*names: str) -> Table:
    return Table(*names, box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))


def _within(*parts: str | tuple[str, str], by: int = 2) -> RenderableType:
    return Padding(_text(*parts), (0, 0, 0, by), expand=False)


def _text(*parts: str | tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=False, overflow="fold")
