"""The summary of a run in a terminal, in 80 columns."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fuze_chaos.checker.results import Verdict, Violation
from fuze_chaos.report.formatting import (
    count_not_injected,
    explain_defects,
    explain_operators,
    format_count,
    format_duration,
    headline,
    rerun_command,
    statistics_by_kind,
)
from fuze_chaos.report.report import DurationSummary, Report

_WIDTH = 80
_MAX_SHOWN = 5
_MAX_DESCRIPTION = 240
_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.UNKNOWN: "yellow"}


def render_summary(report: Report, path: Path | None = None) -> RenderableType:
    """Return the summary; `path` is where the whole report is."""
    return Group(*_parts(report, path))


def _parts(report: Report, path: Path | None) -> Iterator[RenderableType]:
    verdict = (report.verdict.upper(), f"bold {_STYLES[report.verdict]}")
    yield _text("\n", verdict, f"  {headline(report)}")
    defect = explain_defects(report)
    if defect:
        yield _indented((defect, "bold"))
    if operators := explain_operators(report):
        yield _indented(operators)
    yield _indented(
        f"seed {report.seed}, {format_count(report.orders, 'order')}, "
        f"{format_count(len(report.faults), 'fault')}, {format_duration(report.duration)}\n"
    )
    yield _invariants(report)
    yield from _violations(report)
    yield from _counts("final statuses", report.final_statuses)
    yield from _counts("responses", report.responses)
    if report.faults:
        yield Text()
        yield _faults(report)
    yield from _list("diagnostics of orders that did not complete in time", report.diagnostics)
    yield Text(f"\nrun it again: {rerun_command(report)}")
    if path is not None:
        yield Text(f"report: {path}")


def _invariants(report: Report) -> Table:
    table = _table("", "invariant")
    table.width = _WIDTH
    table.columns[1].ratio = 1
    for name in ("verdict", "checked", "violations", "unreadable"):
        table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for check in report.checks:
        table.add_row(
            check.invariant,
            Text(check.slug),
            Text(check.verdict.upper(), _STYLES[check.verdict]),
            f"{check.checked:,}",
            f"{len(check.violations):,}",
            f"{len(check.unreadable):,}",
        )
    return table


def _violations(report: Report) -> Iterator[RenderableType]:
    """Show the first violation of every invariant before a second one of any."""
    numbered = [
        (number, violation)
        for check in report.checks
        for number, violation in enumerate(check.violations[:_MAX_SHOWN])
    ]
    shown = [violation for _, violation in sorted(numbered, key=lambda one: one[0])[:_MAX_SHOWN]]
    if shown:
        yield _text("\n", ("violations", "dim"))
    for violation in shown:
        yield from _violation(violation)
    rest = report.violation_count - len(shown)
    if rest:
        yield _indented((f"and {format_count(rest, 'more violation')}: see the report", "dim"))
    unreadable = [f"{check.invariant} {one}" for check in report.checks for one in check.unreadable]
    yield from _list("could not be read completely", unreadable)


def _violation(violation: Violation) -> Iterator[RenderableType]:
    moment = f" at {violation.at:,.1f} s" if violation.at is not None else ""
    subject = f" {violation.order_id or 'the whole system'}{moment}"
    text = violation.description
    yield _indented((violation.invariant, "bold red"), subject)
    yield _indented(f"{text[:_MAX_DESCRIPTION]}…" if len(text) > _MAX_DESCRIPTION else text, by=5)


def _counts(title: str, counts: Mapping[str, int]) -> Iterator[RenderableType]:
    if counts:
        ordered = sorted(counts.items(), key=lambda pair: -pair[1])
        yield _text("\n", (title, "dim"))
        yield _indented(", ".join(f"{name} {count:,}" for name, count in ordered))


def _faults(report: Report) -> Table:
    table = _table("fault")
    for name in ("count", "failed", "recovered", "p50", "p99", "max"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in statistics_by_kind(report.faults):
        table.add_row(
            Text(one.kind), f"{one.count:,}", f"{one.not_injected:,}", *_durations(one.recovery)
        )
    table.add_row(
        "all",
        f"{len(report.faults):,}",
        f"{count_not_injected(report.faults):,}",
        *_durations(report.recovery),
        style="bold",
    )
    return table


def _durations(summary: DurationSummary | None) -> tuple[str, ...]:
    if summary is None:
        return ("0", "-", "-", "-")
    figures = (summary.p50, summary.p99, summary.max)
    return (f"{summary.count:,}", *map(format_duration, figures))


def _list(title: str, lines: Sequence[str]) -> Iterator[RenderableType]:
    if lines:
        yield _text("\n", (title, "dim"))
        yield from (_indented(line) for line in lines[:_MAX_SHOWN])
    if len(lines) > _MAX_SHOWN:
        yield _indented((f"and {len(lines) - _MAX_SHOWN:,} more: see the report", "dim"))


def _table(*names: str) -> Table:
    return Table(*names, box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))


def _indented(*parts: str | tuple[str, str], by: int = 2) -> RenderableType:
    return Padding(_text(*parts), (0, 0, 0, by), expand=False)


def _text(*parts: str | tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=False, overflow="fold")
