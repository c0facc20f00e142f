"""The HTML report of a run, and its summary in a terminal."""

import io
import re
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from fuze_chaos.checker.results import CheckResult, Verdict, Violation
from fuze_chaos.faults.catalog import InjectedFault, ScheduledFault
from fuze_chaos.report.html_report import render_html
from fuze_chaos.report.report import DurationSummary, Report, ThroughputSample
from fuze_chaos.report.terminal import render_summary

_VOID = {"meta"}
_ATTACK = '</title></svg></style><script>alert(1)</script><img src="http://elsewhere/">&amp;"\''
_LINK = "payment->postgres"


class _Page(HTMLParser):
    """Parses a page as strictly as XML: every element is closed, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [found[attribute] for _, found in self.elements if attribute in found]

    def with_class(self, class_: str) -> list[str]:
        return [name for name, found in self.elements if class_ in found.get("class", "").split()]


def _fault(number: int, **fields: Any) -> InjectedFault:  # noqa: ANN401 - the fields of two models
    scheduled = {"kind": "kill", "target": "payment", "at": 2.0 * number, "duration": 1.0}
    scheduled |= {name: fields.pop(name) for name in list(fields) if name in scheduled}
    started = scheduled["at"]
    return InjectedFault(
        scheduled=ScheduledFault(number=number, **scheduled),
        started=started,
        ended=started + scheduled["duration"],
        **fields,
    )


def _violation(number: int = 1, **fields: Any) -> Violation:  # noqa: ANN401 - the model's fields
    defaults = {
        "invariant": "I2",
        "order_id": f"order-{number}",
        "description": f"charged {number} times",
    }
    return Violation(**(defaults | {"at": float(number)} | fields))


def _check(
    *violations: Violation, invariant: str = "I2", unreadable: tuple[str, ...] = ()
) -> CheckResult:
    verdict = Verdict.FAIL if violations else Verdict.UNKNOWN if unreadable else Verdict.PASS
    title = "No order is charged twice"
    return CheckResult(
        invariant=invariant, slug="single-charge", title=title, verdict=verdict, checked=20,
        violations=violations, unreadable=unreadable,
    )  # fmt: skip


def _report(*checks: CheckResult, **fields: Any) -> Report:  # noqa: ANN401 - the model's fields
    verdicts = {check.verdict for check in checks}
    bad = (verdict for verdict in (Verdict.FAIL, Verdict.UNKNOWN) if verdict in verdicts)
    defaults: dict[str, Any] = {
        "verdict": next(bad, Verdict.PASS), "seed": 42, "orders": 20, "defects": (),
        "started_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "workload_ended": 30.0, "last_fault_ended": 25.0, "last_order_ended": 33.0,
        "checks": checks, "faults": (_fault(1), _fault(2, kind="reset", target=_LINK)),
        "throughput": tuple(ThroughputSample(at=at, accepted=2, ended=1) for at in range(30)),
        "final_statuses": {"shipped": 20}, "responses": {"202": 20},
        "recovery": DurationSummary(count=2, p50=1.0, p99=2.0, max=2.0), "order_duration": None,
    }  # fmt: skip
    return Report(**(defaults | fields))


def _long(violations: int) -> Report:
    found = (
        _violation(
            number,
            at=number % 3000,
            evidence={"order row": {"id": f"order-{number}", "events": list(range(100))}},
            history=tuple(f"{line} ActivityTaskScheduled" for line in range(60)),
            nearby_faults=(number % 600, 17),
        )
        for number in range(violations)
    )
    return _report(
        _check(*found),
        orders=10_000,
        workload_ended=3000.0,
        faults=tuple(_fault(number, at=number * 5.0, duration=7.0) for number in range(600)),
        throughput=tuple(
            ThroughputSample(at=at, accepted=3, ended=3, failed_requests=1) for at in range(3000)
        ),
    )


def _terminal(report: Report, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, soft_wrap=True)
    console.print(render_summary(report, Path("chaos/report.html")))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verdict_comes_first(verdict: Verdict) -> None:
    report = _report(_check(), verdict=verdict)

    assert _Page(render_html(report)).text.lstrip().startswith(f"{verdict.upper()}: ")
    assert _terminal(report).lstrip().startswith(verdict.upper())


def test_the_report_has_the_command_to_run_it_again() -> None:
    report = _report(seed=7, orders=500)

    assert "fuze chaos --seed 7 --orders 500" in _Page(render_html(report)).text
    assert "fuze chaos --seed 7 --orders 500\n" in _terminal(report)


def test_the_command_repeats_the_faults_and_the_rate() -> None:
    report = _report(seed=7, orders=500, fault_kinds="kill,reset", rate=2.5)

    again = "fuze chaos --seed 7 --orders 500 --faults kill,reset --rate 2.5"
    assert again in _Page(render_html(report)).text


@pytest.mark.parametrize(
    ("check", "meaning"),
    [
        (_check(invariant="I5"), "I5 hold for all of them"),
        (_check(_violation(3, invariant="I5"), invariant="I5"), "I5 hold for all of them"),
        (_check(_violation(1, invariant="I5"), invariant="I5"), "I5 violated by some of them"),
        (_check(invariant="I5", unreadable=("a system",)), "I5 could not be checked completely"),
    ],
)
def test_the_report_says_what_operators_did_and_whether_it_cost_money_or_goods(
    check: CheckResult, meaning: str
) -> None:
    report = _report(
        check,
        operator_actions={"reset": 1, "cancel": 2},
        operated_orders=("order-1", "order-2"),
    )

    for rendered in (_Page(render_html(report)).text, " ".join(_terminal(report).split())):
        assert "Operators acted 3 times on 2 orders (cancel 2, reset 1);" in rendered
        assert meaning in rendered


@pytest.mark.parametrize(
    ("check", "meaning"),
    [
        (_check(_violation()), "has found violations"),
        (_check(), "has found no violation"),
        (_check(unreadable=("a system",)), "no readable system of record shows a violation"),
    ],
)
def test_the_report_says_whether_an_injected_defect_was_found(
    check: CheckResult, meaning: str
) -> None:
    report = _report(check, defects=("charge-without-key",))

    for rendered in (_Page(render_html(report)).text, " ".join(_terminal(report).split())):
        assert "Injected on purpose: charge-without-key;" in rendered
        assert meaning in rendered


def test_every_violation_is_listed() -> None:
    page = _Page(render_html(_report(_check(*(_violation(number) for number in range(50))))))

    for number in range(50):
        assert f"order-{number}charged {number} times" in page.text
    assert page.with_class("mark")


def test_a_violation_has_its_evidence_and_its_history() -> None:
    evidence = {"order row": {"status": "shipped"}, "psp": [{"amount": 5997}]}
    violation = _violation(evidence=evidence, history=("1 WorkflowExecutionStarted",))
    text = _Page(render_html(_report(_check(violation)))).text

    assert 'order row{\n  "status": "shipped"\n}' in text
    assert '"amount": 5997' in text
    assert "1 WorkflowExecutionStarted" in text


def test_a_violation_links_to_the_faults_of_its_lifetime() -> None:
    page = _Page(render_html(_report(_check(_violation(nearby_faults=(2, 1, 99))))))

    assert page.values("href").count("#fault-2") == 2  # from the timeline, and from the violation
    assert "2: reset, payment → postgres, at 4.0 s" in page.text


def test_unreadable_systems_are_named() -> None:
    report = _report(_check(unreadable=("the charges end at page 14: 503",)))

    assert "the charges end at page 14: 503" in _Page(render_html(report)).text
    assert "the charges end at page 14: 503" in _terminal(report)


def test_violations_above_the_limit_are_counted() -> None:
    page = _Page(render_html(_report(_check(*(_violation(number) for number in range(1234))))))

    assert "1,034 more violations in report.json" in page.text
    assert "order-199charged" in page.text
    assert "order-200charged" not in page.text


def test_evidence_above_the_limit_is_left_to_report_json() -> None:
    vast = tuple(_violation(number, evidence={"record": "x" * 300_000}) for number in range(10))
    text = _Page(render_html(_report(_check(*vast)))).text

    assert text.count("x" * 300_000) == 1
    assert text.count("The evidence is in report.json") == 9


def test_the_report_of_a_long_run_is_small_and_fast_to_render() -> None:
    report = _long(violations=2000)
    began = time.perf_counter()
    page = render_html(report)

    assert time.perf_counter() - began < 10
    assert len(page) < 1_500_000


def test_all_content_is_escaped() -> None:
    violation = _violation(
        invariant=_ATTACK, order_id=_ATTACK, description=_ATTACK, history=(_ATTACK,),
        nearby_faults=(1,),
        evidence={_ATTACK: {_ATTACK: [_ATTACK]}},
    )  # fmt: skip
    fault = _fault(
        1, kind=_ATTACK, target=_ATTACK, note=_ATTACK, error=_ATTACK, recovery_event=_ATTACK
    )
    report = _report(
        CheckResult(invariant=_ATTACK, slug=_ATTACK, title=_ATTACK, verdict=Verdict.FAIL, checked=1,
              violations=(violation,), unreadable=(_ATTACK,)),
        defects=(_ATTACK,), faults=(fault,), final_statuses={_ATTACK: 1}, responses={_ATTACK: 1},
        diagnostics=(_ATTACK,), versions={_ATTACK: _ATTACK},
    )  # fmt: skip
    page = _Page(render_html(report))

    assert not {"script", "img"} & {name for name, _ in page.elements}
    assert page.text.count(_ATTACK) > 20


def test_illegal_characters_are_replaced() -> None:
    page = render_html(_report(_check(_violation(description="half \ud83d a \x00 heart"))))

    assert "half \ufffd a \ufffd heart" in page
    page.encode()


def test_the_page_loads_nothing() -> None:
    source = render_html(_report(_check(_violation(nearby_faults=(1,)))))
    page = _Page(source)

    assert all(link.startswith("#") for link in page.values("href"))
    assert not {"script", "link", "img", "iframe", "object"} & {name for name, _ in page.elements}
    assert not page.values("src")
    assert set(re.findall(r"url\((.)", source)) <= {"#"}
    assert "@import" not in source
    assert "default-src 'none'" in page.values("content")[0]


def test_every_link_has_a_target() -> None:
    report = _report(
        _check(_violation(nearby_faults=(1, 99))),
        CheckResult(
            invariant="I3",
            slug="accepted-order-completes",
            title="No findings",
            verdict=Verdict.UNKNOWN,
            checked=0,
        ),
    )
    page = _Page(render_html(report))
    places = Counter(page.values("id"))

    assert {link.removeprefix("#") for link in page.values("href")} <= set(places)
    assert max(places.values()) == 1


def test_the_timeline_is_valid_svg_with_a_description() -> None:
    source = render_html(_report(_check(_violation())))
    picture = ET.fromstring(source[source.index("<svg") : source.index("</svg>") + 6])  # noqa: S314 - our own

    assert picture[0].tag == "title"
    assert (picture[1].text or "").startswith("2 faults in 33.0 s")


def test_every_fault_has_a_bar_that_links_to_its_row() -> None:
    page = _Page(render_html(_long(violations=0)))
    rows = [name for name in page.values("id") if name.startswith("fault-")]

    assert len(rows) == 600
    assert {f"#{row}" for row in rows} <= set(page.values("href"))


def test_a_fault_that_was_not_injected_is_hatched_and_has_its_error() -> None:
    page = _Page(render_html(_report(faults=(_fault(1), _fault(2, error="it had ended")))))

    assert len(page.with_class("bar")) == 2
    assert len(page.with_class("not-injected")) == 1
    assert "not injected: it had ended" in page.text


def test_recovery_is_shown_for_every_kind_of_fault() -> None:
    faults = (_fault(1, recovered_after=1.5), _fault(2, kind="reset", recovered_after=62.0))
    report = _report(faults=faults)

    for rendered in (_Page(render_html(report)).text, _terminal(report)):
        assert "1.50 s" in rendered
        assert "62.0 s" in rendered


def test_an_empty_run_has_a_report() -> None:
    nothing: Mapping[str, Any] = {
        "faults": (), "throughput": (), "final_statuses": {}, "responses": {}, "recovery": None,
        "workload_ended": 0.0, "last_fault_ended": 0.0, "last_order_ended": None,
    }  # fmt: skip
    report = _report(**nothing)

    assert "0 faults" in _Page(render_html(report)).text
    assert "0 faults" in _terminal(report)


def test_the_summary_fits_eighty_columns_without_colour() -> None:
    checks = (
        _check(
            *(_violation(n, description="a long story " * 40) for n in range(9)),
            unreadable=("x" * 200,),
        ),
        _check(_violation(order_id=None, at=None), invariant="I10"),
    )
    responses = {f"409 a-problem-of-kind-{number}": 1000 for number in range(20)}
    rendered = _terminal(_report(*checks, responses=responses, diagnostics=("an order " * 20,)))

    assert "\x1b" not in rendered
    assert max(map(len, rendered.splitlines())) <= 80


def test_the_summary_shows_the_first_violation_of_each_invariant() -> None:
    checks = [
        _check(*(_violation(10 * k + n, invariant=f"I{k}") for n in range(9)), invariant=f"I{k}")
        for k in (1, 2, 3)
    ]
    rendered = _terminal(_report(*checks))

    for number in (10, 20, 30, 11, 21):
        assert f"order-{number} at {number}.0 s" in rendered
    assert "and 22 more violations: see the report" in rendered


def test_the_summary_does_not_interpret_markup() -> None:
    assert "[red]order[/red] [/]" in _terminal(
        _report(_check(_violation(description="[red]order[/red] [/]")))
    )


def test_the_summary_has_the_path_of_the_report() -> None:
    assert "report: chaos/report.html" in _terminal(_report())
