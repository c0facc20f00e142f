"""What each invariant found, and for every violation all that the books say about it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element

from pydantic import JsonValue

from fuze_chaos.figures import count
from fuze_chaos.markup import tag
from fuze_chaos.outcome import Check, Report, Struck, Violation

SHOWN = 200
_AT_ONCE = 10
_CHARACTERS = 400_000
_REST = "report.json"


def draw(report: Report) -> Iterator[Element]:
    """Draw the table of invariants, then what breaks each of them and what was not read."""
    yield tag(
        "div",
        tag(
            "table",
            tag(
                "thead",
                tag(
                    "tr",
                    tag("th", "", scope="col"),
                    tag("th", "invariant", scope="col"),
                    tag("th", "verdict", scope="col"),
                    *(
                        tag("th", name, scope="col", class_="number")
                        for name in ("looked at", "violations", "unread")
                    ),
                ),
            ),
            tag("tbody", *(_row(check) for check in report.checks)),
        ),
        class_="scroll",
    )
    strikes = {struck.strike.number: struck for struck in report.strikes}
    for check in report.checks:
        if is_told(check):
            yield _found(check, strikes)


def is_told(check: Check) -> bool:
    """Whether there is more to say of an invariant than its row, at `#` and its name."""
    return bool(check.violations or check.unread)


def _row(check: Check) -> Element:
    name = check.invariant
    return tag(
        "tr",
        tag("th", tag("a", name, href=f"#{name}") if is_told(check) else name, scope="row"),
        tag("td", check.title, class_="title"),
        tag("td", tag("strong", check.verdict.upper(), class_=f"says {check.verdict}")),
        tag("td", f"{check.looked_at:,}", class_="number"),
        tag("td", f"{len(check.violations):,}", class_="number"),
        tag("td", f"{len(check.unread):,}", class_="number"),
    )


def _found(check: Check, strikes: Mapping[int, Struck]) -> Element:
    section = tag("section", tag("h3", f"{check.invariant}: {check.title}"), id=check.invariant)
    made = list(_violations(check, strikes))
    section.extend(made[:_AT_ONCE])
    if made[_AT_ONCE:]:
        said = f"{len(made) - _AT_ONCE:,} more"
        section.append(tag("details", tag("summary", said), *made[_AT_ONCE:], class_="rest"))
    _say_what_is_missing(section, check.violations, "violation")
    if check.unread:
        section.append(tag("p", "Could not be read to the end:"))
        section.append(tag("ul", *(tag("li", tag("code", one)) for one in check.unread[:SHOWN])))
        _say_what_is_missing(section, check.unread, "book")
    return section


def _violations(check: Check, strikes: Mapping[int, Struck]) -> Iterator[Element]:
    room = _CHARACTERS
    for number, violation in enumerate(check.violations[:SHOWN]):
        books = {name: _json(said) for name, said in violation.evidence.items()}
        room -= sum(map(len, (*books.values(), *violation.history)))
        # Beyond that a browser is slow, and nobody reads on.
        whole = room > 0 or number == 0
        yield _violation(violation, books if whole else None, strikes)


def _say_what_is_missing(section: Element, found: Sequence[object], noun: str) -> None:
    if len(found) > SHOWN:
        more = count(len(found) - SHOWN, f"more {noun}")
        section.append(tag("p", f"{more} in {_REST}.", class_="more"))


def _violation(
    violation: Violation, books: Mapping[str, str] | None, strikes: Mapping[int, Struck]
) -> Element:
    return tag(
        "details",
        tag(
            "summary",
            violation.order_id and tag("code", violation.order_id),
            tag("span", violation.what),
            tag("small", f"at {violation.at:,.1f} s") if violation.at is not None else None,
        ),
        _near(violation.near, strikes),
        *(_told(violation, books) if books is not None else _left_out()),
    )


def _near(numbers: Sequence[int], strikes: Mapping[int, Struck]) -> Element | None:
    if not numbers:
        return None
    links = (
        tag("li", _near_one(number, strikes[number]) if number in strikes else f"{number}")
        for number in numbers
    )
    return tag(
        "div", tag("h4", "Faults within its life, nearest first"), tag("ul", *links, class_="near")
    )


def _near_one(number: int, struck: Struck) -> Element:
    strike = struck.strike
    said = (
        f"{number}: {strike.kind}, {strike.target.replace('->', ' → ')}, at {struck.began:,.1f} s"
    )
    return tag("a", said, href=f"#strike-{number}")


def _told(violation: Violation, books: Mapping[str, str]) -> Iterator[Element]:
    if books:
        yield tag("div", *(_book(name, said) for name, said in books.items()), class_="books")
    if violation.history:
        yield _book("Temporal history", "\n".join(violation.history))


def _book(name: str, said: str) -> Element:
    return tag("div", tag("h4", name), tag("pre", said, tabindex="0"))


def _left_out() -> Iterator[Element]:
    yield tag("p", f"What the books say of it is in {_REST}.", class_="more")


def _json(said: JsonValue) -> str:
    return json.dumps(said, indent=2, ensure_ascii=False)
