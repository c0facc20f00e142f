"""The page of a chaos run, and its summary in a terminal."""

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

from fuze_chaos.console import summary
from fuze_chaos.outcome import (
    Check,
    Report,
    Second,
    Spread,
    Strike,
    Struck,
    Verdict,
    Violation,
)
from fuze_chaos.page import render

_VOID = {"meta"}
_ATTACK = '</title></svg></style><script>alert(1)</script><img src="http://elsewhere/">&amp;"\''
_LINK = "payment->postgres"


class _Page(HTMLParser):
    """Reads a page as strictly as XML: whatever is opened is closed, in order."""

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

    def of(self, class_: str) -> list[str]:
        return [name for name, found in self.elements if class_ in found.get("class", "").split()]


def _struck(number: int, **said: Any) -> Struck:  # noqa: ANN401 - the fields of two models
    planned = {"kind": "kill", "target": "payment", "at": 2.0 * number, "lasts": 1.0}
    planned |= {name: said.pop(name) for name in list(said) if name in planned}
    began = planned["at"]
    return Struck(
        strike=Strike(number=number, **planned), began=began, ended=began + planned["lasts"], **said
    )


def _violation(number: int = 1, **said: Any) -> Violation:  # noqa: ANN401 - the model's fields
    told = {"invariant": "I2", "order_id": f"order-{number}", "what": f"charged {number} times"}
    return Violation(**(told | {"at": float(number)} | said))


def _check(*violations: Violation, invariant: str = "I2", unread: tuple[str, ...] = ()) -> Check:
    verdict = Verdict.FAIL if violations else Verdict.UNKNOWN if unread else Verdict.PASS
    title = "No order is charged twice"
    return Check(
        invariant=invariant, title=title, verdict=verdict, looked_at=20,
        violations=violations, unread=unread,
    )  # fmt: skip


def _report(*checks: Check, **said: Any) -> Report:  # noqa: ANN401 - the model's fields
    verdicts = {check.verdict for check in checks}
    bad = (verdict for verdict in (Verdict.FAIL, Verdict.UNKNOWN) if verdict in verdicts)
    told: dict[str, Any] = {
        "verdict": next(bad, Verdict.PASS), "seed": 42, "orders": 20, "defect": None,
        "started_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "load_lasted": 30.0, "last_fault_ended": 25.0, "last_order_ended": 33.0,
        "checks": checks, "strikes": (_struck(1), _struck(2, kind="cut", target=_LINK)),
        "throughput": tuple(Second(at=at, accepted=2, ended=1) for at in range(30)),
        "ends": {"shipped": 20}, "answers": {"202": 20},
        "recovery": Spread(count=2, p50=1.0, p99=2.0, longest=2.0), "life": None,
    }  # fmt: skip
    return Report(**(told | said))


def _long(violations: int) -> Report:
    found = (
        _violation(
            number,
            at=number % 3000,
            evidence={"order row": {"id": f"order-{number}", "events": list(range(100))}},
            history=tuple(f"{line} ActivityTaskScheduled" for line in range(60)),
            near=(number % 600, 17),
        )
        for number in range(violations)
    )
    return _report(
        _check(*found),
        orders=10_000,
        load_lasted=3000.0,
        strikes=tuple(_struck(number, at=number * 5.0, lasts=7.0) for number in range(600)),
        throughput=tuple(Second(at=at, accepted=3, ended=3, turned_away=1) for at in range(3000)),
    )


def _terminal(report: Report, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False, soft_wrap=True)
    console.print(summary(report, Path("chaos/report.html")))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("verdict", Verdict)
def test_the_verdict_is_said_in_words(verdict: Verdict) -> None:
    report = _report(_check(), verdict=verdict)

    assert _Page(render(report)).text.lstrip().startswith(f"{verdict.upper()}: ")
    assert _terminal(report).lstrip().startswith(verdict.upper())


def test_a_run_says_how_to_run_it_again() -> None:
    report = _report(seed=7, orders=500)

    assert "fuze chaos --seed 7 --orders 500" in _Page(render(report)).text
    assert "fuze chaos --seed 7 --orders 500\n" in _terminal(report)


def test_a_run_of_some_faults_at_a_rate_is_run_again_with_them() -> None:
    report = _report(seed=7, orders=500, faults="kill,cut", rate=2.5)

    again = "fuze chaos --seed 7 --orders 500 --faults kill,cut --rate 2.5"
    assert again in _Page(render(report)).text


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (_check(_violation()), "it was found"),
        (_check(), "it was not found"),
        (_check(unread=("a book",)), "nothing that could be read shows it"),
    ],
)
def test_a_seeded_defect_is_found_or_not(check: Check, said: str) -> None:
    report = _report(check, defect="charge-without-key")

    for told in (_Page(render(report)).text, " ".join(_terminal(report).split())):
        assert "The defect charge-without-key was seeded on purpose" in told
        assert said in told


def test_a_failed_run_names_each_violation() -> None:
    page = _Page(render(_report(_check(*(_violation(number) for number in range(50))))))

    for number in range(50):
        assert f"order-{number}charged {number} times" in page.text
    assert page.of("mark")


def test_a_violation_has_what_each_book_says_and_its_history() -> None:
    books = {"order row": {"status": "shipped"}, "psp": [{"amount": 5997}]}
    violation = _violation(evidence=books, history=("1 WorkflowExecutionStarted",))
    text = _Page(render(_report(_check(violation)))).text

    assert 'order row{\n  "status": "shipped"\n}' in text
    assert '"amount": 5997' in text
    assert "1 WorkflowExecutionStarted" in text


def test_a_violation_leads_to_the_faults_within_its_life() -> None:
    page = _Page(render(_report(_check(_violation(near=(2, 1, 99))))))

    assert page.values("href").count("#strike-2") == 2  # from the picture, and from the violation
    assert "2: cut, payment → postgres, at 4.0 s" in page.text


def test_what_was_not_read_is_named() -> None:
    report = _report(_check(unread=("the charges end at page 14: 503",)))

    assert "the charges end at page 14: 503" in _Page(render(report)).text
    assert "the charges end at page 14: 503" in _terminal(report)


def test_more_violations_than_a_page_bears_are_counted() -> None:
    page = _Page(render(_report(_check(*(_violation(number) for number in range(1234))))))

    assert "1,034 more violations in report.json" in page.text
    assert "order-199charged" in page.text
    assert "order-200charged" not in page.text


def test_evidence_beyond_what_a_browser_bears_is_left_to_the_report() -> None:
    vast = tuple(_violation(number, evidence={"book": "x" * 300_000}) for number in range(10))
    text = _Page(render(_report(_check(*vast)))).text

    assert text.count("x" * 300_000) == 1
    assert text.count("What the books say of it is in report.json") == 9


def test_a_long_run_stays_small_and_quick() -> None:
    report = _long(violations=2000)
    began = time.perf_counter()
    page = render(report)

    assert time.perf_counter() - began < 10
    assert len(page) < 1_500_000


def test_nothing_that_an_order_or_a_book_says_becomes_markup() -> None:
    violation = _violation(
        invariant=_ATTACK, order_id=_ATTACK, what=_ATTACK, history=(_ATTACK,), near=(1,),
        evidence={_ATTACK: {_ATTACK: [_ATTACK]}},
    )  # fmt: skip
    struck = _struck(1, kind=_ATTACK, target=_ATTACK, note=_ATTACK, failed=_ATTACK, witness=_ATTACK)
    report = _report(
        Check(invariant=_ATTACK, title=_ATTACK, verdict=Verdict.FAIL, looked_at=1,
              violations=(violation,), unread=(_ATTACK,)),
        defect=_ATTACK, strikes=(struck,), ends={_ATTACK: 1}, answers={_ATTACK: 1},
        stuck=(_ATTACK,), versions={_ATTACK: _ATTACK},
    )  # fmt: skip
    page = _Page(render(report))

    assert not {"script", "img"} & {name for name, _ in page.elements}
    assert page.text.count(_ATTACK) > 20


def test_a_character_that_no_page_can_hold_is_replaced() -> None:
    page = render(_report(_check(_violation(what="half \ud83d a \x00 heart"))))

    assert "half \ufffd a \ufffd heart" in page
    page.encode()


def test_the_page_needs_no_other_host() -> None:
    source = render(_report(_check(_violation(near=(1,)))))
    page = _Page(source)

    assert all(link.startswith("#") for link in page.values("href"))
    assert not {"script", "link", "img", "iframe", "object"} & {name for name, _ in page.elements}
    assert not page.values("src")
    assert set(re.findall(r"url\((.)", source)) <= {"#"}
    assert "@import" not in source
    assert "default-src 'none'" in page.values("content")[0]


def test_every_link_leads_somewhere() -> None:
    report = _report(
        _check(_violation(near=(1, 99))),
        Check(invariant="I3", title="Nobody says why", verdict=Verdict.UNKNOWN, looked_at=0),
    )
    page = _Page(render(report))
    places = Counter(page.values("id"))

    assert {link.removeprefix("#") for link in page.values("href")} <= set(places)
    assert max(places.values()) == 1


def test_the_picture_is_an_svg_that_says_what_it_shows() -> None:
    source = render(_report(_check(_violation())))
    picture = ET.fromstring(source[source.index("<svg") : source.index("</svg>") + 6])  # noqa: S314 - our own

    assert picture[0].tag == "title"
    assert (picture[1].text or "").startswith("2 faults within 33.0 s")


def test_every_fault_has_a_bar_that_leads_to_its_row() -> None:
    page = _Page(render(_long(violations=0)))
    rows = [name for name in page.values("id") if name.startswith("strike-")]

    assert len(rows) == 600
    assert {f"#{row}" for row in rows} <= set(page.values("href"))


def test_a_fault_that_could_not_be_carried_out_is_hatched_and_says_why() -> None:
    page = _Page(render(_report(strikes=(_struck(1), _struck(2, failed="it had ended")))))

    assert len(page.of("bar")) == 2
    assert len(page.of("failed")) == 1
    assert "could not be carried out: it had ended" in page.text


def test_recovery_is_told_for_every_kind_of_fault() -> None:
    strikes = (_struck(1, recovered_after=1.5), _struck(2, kind="cut", recovered_after=62.0))
    report = _report(strikes=strikes)

    for told in (_Page(render(report)).text, _terminal(report)):
        assert "1.50 s" in told
        assert "62.0 s" in told


def test_a_run_in_which_nothing_happened_has_a_page() -> None:
    nothing: Mapping[str, Any] = {
        "strikes": (), "throughput": (), "ends": {}, "answers": {}, "recovery": None,
        "load_lasted": 0.0, "last_fault_ended": 0.0, "last_order_ended": None,
    }  # fmt: skip
    report = _report(**nothing)

    assert "0 faults" in _Page(render(report)).text
    assert "0 faults" in _terminal(report)


def test_the_summary_fits_eighty_columns_without_colour() -> None:
    checks = (
        _check(*(_violation(n, what="a long story " * 40) for n in range(9)), unread=("x" * 200,)),
        _check(_violation(order_id=None, at=None), invariant="I10"),
    )
    answers = {f"409 a-problem-of-kind-{number}": 1000 for number in range(20)}
    told = _terminal(_report(*checks, answers=answers, stuck=("an order " * 20,)))

    assert "\x1b" not in told
    assert max(map(len, told.splitlines())) <= 80


def test_the_summary_names_the_first_violation_of_each_invariant() -> None:
    checks = [
        _check(*(_violation(10 * k + n, invariant=f"I{k}") for n in range(9)), invariant=f"I{k}")
        for k in (1, 2, 3)
    ]
    told = _terminal(_report(*checks))

    for number in (10, 20, 30, 11, 21):
        assert f"order-{number} at {number}.0 s" in told
    assert "and 22 more violations: see the report" in told


def test_the_summary_shows_brackets_as_they_are() -> None:
    assert "[red]order[/red] [/]" in _terminal(
        _report(_check(_violation(what="[red]order[/red] [/]")))
    )


def test_the_summary_says_where_the_report_is() -> None:
    assert "the whole report: chaos/report.html" in _terminal(_report())
