"""The report as one self-contained HTML page: no network, no script, no second file.

The templates are in `templates/`; this module prepares what they show.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pydantic import JsonValue

from fuze_chaos.checker.results import CheckResult, Verdict, Violation
from fuze_chaos.report import formatting
from fuze_chaos.report.report import Report
from fuze_chaos.report.timeline import build_timeline

_COLOUR_COUNT = 7
_MAX_SHOWN = 200
_MAX_EXPANDED = 10
_MAX_EVIDENCE_CHARACTERS = 400_000
"""Above these limits a browser is slow; `report.json` has the rest."""

# Characters that HTML cannot contain: a corrupt response may have NUL or half of a surrogate pair.
_ILLEGAL_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Finding:
    """A violation as it is shown; `evidence` is None where there is too much of it."""

    violation: Violation
    evidence: Mapping[str, str] | None


@dataclass(frozen=True)
class Findings:
    """What an invariant's check has found, with the number of findings that are not shown."""

    check: CheckResult
    expanded: Sequence[Finding]
    collapsed: Sequence[Finding]
    omitted: int
    unreadable: Sequence[str]
    omitted_unreadable: int


def render_html(report: Report) -> str:
    """Return the HTML page of a run."""
    statistics = formatting.statistics_by_kind(report.faults)
    findings = [_findings(check) for check in report.checks if _has_findings(check)]
    return _ENVIRONMENT.get_template("report.html.j2").render(
        report=report,
        headline=formatting.headline(report),
        defect=formatting.explain_defects(report),
        operators=formatting.explain_operators(report),
        rerun_command=formatting.rerun_command(report),
        failed_checks=[one for one in report.checks if one.verdict is not Verdict.PASS],
        findings=findings,
        anchors={one.check.invariant for one in findings},
        timeline=build_timeline(report),
        statistics=statistics,
        not_injected=formatting.count_not_injected(report.faults),
        colours=_colours(one.kind for one in statistics),
        colour_count=_COLOUR_COUNT,
        faults={one.scheduled.number: one for one in report.faults},
    )


def _colours(kinds: Iterable[str]) -> dict[str, str]:
    """Return the CSS class of each kind of fault; the rarest kinds share one."""
    return {
        kind: f"kind-{number}" if number < _COLOUR_COUNT else "kind-other"
        for number, kind in enumerate(kinds)
    }


def _has_findings(check: CheckResult) -> bool:
    return bool(check.violations or check.unreadable)


def _findings(check: CheckResult) -> Findings:
    shown = list(_shown(check.violations))
    return Findings(
        check,
        expanded=shown[:_MAX_EXPANDED],
        collapsed=shown[_MAX_EXPANDED:],
        omitted=len(check.violations) - len(shown),
        unreadable=check.unreadable[:_MAX_SHOWN],
        omitted_unreadable=max(0, len(check.unreadable) - _MAX_SHOWN),
    )


def _shown(violations: Sequence[Violation]) -> Iterator[Finding]:
    remaining = _MAX_EVIDENCE_CHARACTERS
    for number, violation in enumerate(violations[:_MAX_SHOWN]):
        evidence = {name: _to_json(value) for name, value in violation.evidence.items()}
        remaining -= sum(map(len, (*evidence.values(), *violation.history)))
        yield Finding(violation, evidence if remaining > 0 or number == 0 else None)


def _to_json(value: JsonValue) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _replace_illegal(value: Any) -> Any:  # noqa: ANN401 - whatever a template shows
    if isinstance(value, Markup) or value is None:
        return "" if value is None else value
    return _ILLEGAL_CHARACTERS.sub("\ufffd", str(value))


def _shares(counts: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """Return name, count and share, the most frequent first."""
    total = sum(counts.values()) or 1
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    return [(name, count, count / total) for name, count in ordered]


_ENVIRONMENT = Environment(
    loader=PackageLoader("fuze_chaos.report"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_replace_illegal,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "px": lambda value: f"{value:.1f}".removesuffix(".0"),
    "duration": formatting.format_duration,
    "count": formatting.format_count,
    "target": formatting.format_target,
    "shares": _shares,
}
