"""Elements of a page, made so that no text in them can become markup."""

import re
from importlib.resources import files
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element

Child = Element | str | None

# What no page can hold: a broken response in the evidence may have a NUL or half a character.
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ON_A_LINE_OF_ITS_OWN = frozenset({"tr", "p", "li", "details", "section", "table", "g", "a"})


def tag(name: str, /, *children: Child, **attributes: str | float) -> Element:
    """Make an element. `class_` is the attribute class, `aria_label` is aria-label."""
    element = Element(name, {_named(key): _said(value) for key, value in attributes.items()})
    if name in _ON_A_LINE_OF_ITS_OWN:
        element.tail = "\n"  # for whoever greps the page
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            element.append(child)
            last = child
        elif child is not None and last is None:
            element.text = (element.text or "") + _said(child)
        elif child is not None and last is not None:
            last.tail = (last.tail or "") + _said(child)
    return element


def document(title: str, body: Element) -> str:
    """Write a whole page, its style within; its policy forbids it to load anything."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", **{"http-equiv": "Content-Security-Policy", "content": _POLICY}),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", files(__package__).joinpath("page.css").read_text("utf-8")),
    )
    page = tag("html", head, body, lang="en")
    return "<!doctype html>\n" + ET.tostring(page, encoding="unicode", method="html")


_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def _named(key: str) -> str:
    return key.removesuffix("_").replace("_", "-")


def _said(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return _NO_CHARACTER.sub("\ufffd", str(value))
