"""A run as one page of HTML that needs nothing else: no network, no script, no second file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element

from fuze_chaos import evidence, timeline
from fuze_chaos.figures import (
    Kind,
    again,
    by_kind,
    count,
    defect,
    headline,
    lasted,
    seconds,
)
from fuze_chaos.markup import Child, document, tag
from fuze_chaos.outcome import Check, Report, Spread, Struck, Verdict

_COLOURS = 7


def render(report: Report) -> str:
    """Write the page of a run."""
    kinds = by_kind(report.strikes)
    colours = {
        kind.name: f"kind-{number}" if number < _COLOURS else "kind-other"
        for number, kind in enumerate(kinds)
    }
    sections = [
        _section("timeline", "What happened when", _timeline(report, kinds, colours)),
        _section("invariants", "Invariants", *evidence.draw(report)),
        _section("stuck", "Written down of what got stuck", _stuck(report))
        if report.stuck
        else None,
        tag(
            "div",
            _section("ends", "How orders ended", _counts("status", "orders", report.ends)),
            _section("answers", "What clients heard", _counts("answer", "times", report.answers)),
            class_="pair",
        ),
        _section("recovery", "Faults and recovery", _recovery(report, kinds, colours)),
        _section("strikes", "Every fault", _strikes(report.strikes, colours)),
        _section("versions", "Versions", _versions(report)),
    ]
    body = tag("body", _head(report), _navigation(), tag("main", *sections))
    return document(f"{report.verdict.upper()}: fuze chaos, seed {report.seed}", body)


def _head(report: Report) -> Element:
    said = defect(report)
    facts = {
        "seed": str(report.seed),
        "orders": f"{report.orders:,}",
        "lasted": seconds(lasted(report)),
        "faults": f"{len(report.strikes):,}",
        "started": f"{report.started_at:%Y-%m-%d %H:%M:%S %Z}".strip(),
    }
    return tag(
        "header",
        tag(
            "h1",
            tag("span", report.verdict.upper(), class_="word"),
            f" fuze chaos, seed {report.seed}",
        ),
        tag("p", headline(report), class_="headline"),
        _broken(report),
        tag("p", said, class_="defect") if said else None,
        tag(
            "dl",
            *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items()),
        ),
        tag("p", "The same again: ", tag("code", again(report)), class_="again"),
        class_=f"verdict {report.verdict}",
    )


def _broken(report: Report) -> Element | None:
    bad = [check for check in report.checks if check.verdict is not Verdict.PASS]
    if not bad:
        return None
    return tag("ul", *(tag("li", *_named(check)) for check in bad), class_="broken")


def _named(check: Check) -> Iterator[Child]:
    name = check.invariant
    yield tag("a", name, href=f"#{name}") if evidence.is_told(check) else tag("strong", name)
    found = [count(len(check.violations), "violation")] if check.violations else []
    found += [f"{len(check.unread):,} unread"] if check.unread else []
    yield f" {check.title}: {', '.join(found) or check.verdict}"


def _navigation() -> Element:
    names = ("timeline", "invariants", "ends", "answers", "recovery", "strikes", "versions")
    return tag(
        "nav", *(tag("a", name, href=f"#{name}") for name in names), aria_label="On this page"
    )


def _timeline(report: Report, kinds: Sequence[Kind], colours: Mapping[str, str]) -> Element:
    legend = [
        tag("li", _swatch(colours[kind.name]), f"{kind.name} {kind.strikes:,}")
        for kind in kinds[:_COLOURS]
    ]
    others = ", ".join(f"{kind.name} {kind.strikes:,}" for kind in kinds[_COLOURS:])
    if others:
        legend.append(tag("li", _swatch("kind-other"), others))
    if any(struck.failed is not None for struck in report.strikes):
        hatched = tag("span", class_="swatch hatched")
        legend.append(tag("li", hatched, "hatched: could not be carried out"))
    if any(struck.recovered_after for struck in report.strikes):
        legend.append(tag("li", tag("span", class_="swatch thin"), "thin: until things moved"))
    return tag(
        "figure",
        tag(
            "div",
            timeline.draw(report, colours),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label="Timeline",
        ),
        tag("figcaption", tag("ul", *legend, class_="legend")) if legend else None,
    )


def _counts(what: str, number: str, counts: Mapping[str, int]) -> Element:
    total = sum(counts.values()) or 1
    rows = [
        (
            name,
            tag("td", f"{times:,}", class_="number"),
            tag("td", f"{times / total:.1%}", class_="number"),
            tag("td", _share(times / total) if times else None),
        )
        for name, times in sorted(counts.items(), key=lambda pair: -pair[1])
    ]
    return _table((what, f"{number}#", "share#", ""), rows, class_="shares")


def _share(part: float) -> Element:
    return tag("span", class_="share", style=f"width:{part * 100:.2f}%")


def _recovery(report: Report, kinds: Sequence[Kind], colours: Mapping[str, str]) -> Element:
    rows: list[tuple[Child, ...]] = [
        (
            tag("th", _swatch(colours[kind.name]), kind.name, scope="row"),
            _number(kind.strikes),
            _number(kind.failed),
            *_spread(kind.recovery),
        )
        for kind in kinds
    ]
    failed = sum(struck.failed is not None for struck in report.strikes)
    rows.append(
        (
            tag("th", "all faults", scope="row"),
            _number(len(report.strikes)),
            _number(failed),
            *_spread(report.recovery),
        )
    )
    headings = ("kind", "faults#", "not carried out#", "moved again#", "p50#", "p99#", "longest#")
    life = report.life
    return tag(
        "div",
        tag("p", "How long after a fault's end things moved again."),
        _table(headings, rows, class_="totals"),
        tag(
            "p",
            f"An order's life, over {count(life.count, 'order')}: half ended within "
            f"{seconds(life.p50)}, 99 of 100 within {seconds(life.p99)}, "
            f"the longest took {seconds(life.longest)}.",
        )
        if life
        else None,
    )


def _spread(spread: Spread | None) -> tuple[Element, ...]:
    if spread is None:
        return (_number(0), *(tag("td", "—", class_="number") for _ in range(3)))
    figures = (spread.p50, spread.p99, spread.longest)
    return (
        _number(spread.count),
        *(tag("td", seconds(figure), class_="number") for figure in figures),
    )


def _strikes(strikes: Iterable[Struck], colours: Mapping[str, str]) -> Element:
    rows = [
        tag(
            "tr",
            tag("th", str(one.strike.number), scope="row", class_="number"),
            tag("td", _swatch(colours[one.strike.kind]), one.strike.kind),
            tag("td", one.strike.target.replace("->", " → ")),
            *(
                tag("td", f"{figure:,.1f}", class_="number")
                for figure in (one.strike.at, one.began, one.ended - one.began)
            ),
            tag(
                "td",
                f"{one.recovered_after:,.1f}" if one.recovered_after is not None else "—",
                class_="number",
            ),
            tag("td", one.witness or "—"),
            tag(
                "td",
                tag("strong", f"could not be carried out: {one.failed} ")
                if one.failed is not None
                else None,
                one.note,
            ),
            id=f"strike-{one.strike.number}",
        )
        for one in sorted(strikes, key=lambda one: one.strike.number)
    ]
    headings = ("#", "kind", "target", "planned (s)#", "began (s)#", "lasted (s)#",
                "moved after (s)#", "what moved", "note")  # fmt: skip
    table = tag("table", _headings(headings), tag("tbody", *rows))
    return tag("div", table, class_="tall", tabindex="0", role="region", aria_label="Every fault")


def _stuck(report: Report) -> Element:
    return tag("ul", *(tag("li", tag("code", one)) for one in report.stuck))


def _versions(report: Report) -> Element:
    rows = [(name, tag("td", said)) for name, said in report.versions.items()]
    return _table(("what", "version"), rows)


def _table(
    headings: Iterable[str], rows: Iterable[tuple[Child, ...]], *, class_: str = ""
) -> Element:
    made = (
        tag("tr", tag("th", row[0], scope="row") if isinstance(row[0], str) else row[0], *row[1:])
        for row in rows
    )
    table = tag("table", _headings(headings), tag("tbody", *made), class_=class_)
    return tag("div", table, class_="scroll")


def _headings(names: Iterable[str]) -> Element:
    """Make a table's first row; a name that ends in `#` stands over numbers."""
    return tag(
        "thead",
        tag(
            "tr",
            *(
                tag("th", name.removesuffix("#"), scope="col", class_="number")
                if name.endswith("#") and name != "#"
                else tag("th", name, scope="col")
                for name in names
            ),
        ),
    )


def _section(name: str, title: str, *parts: Child) -> Element:
    return tag("section", tag("h2", title), *parts, id=name)


def _number(number: int) -> Element:
    return tag("td", f"{number:,}", class_="number")


def _swatch(colour: str) -> Element:
    return tag("span", class_=f"swatch {colour}")
