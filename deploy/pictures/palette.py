"""The colours of all pictures: those of the console, in its light and its dark scheme."""

import re
from pathlib import Path

_STYLESHEET = "services/console/src/fuze_console/static/css/base.css"
_TONES = ("good", "wait", "bad", "busy", "quiet")

Palette = dict[str, str]
"""Colours by their names in the stylesheet, such as `good-bg`."""


def read_palettes(root: Path) -> dict[str, Palette]:
    """Return the palettes `light` and `dark` of the repository at this path."""
    blocks = re.findall(r":root \{(.*?)\}", (root / _STYLESHEET).read_text(), re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#\w+);", block)) for block in blocks[:2])
    return {"light": light, "dark": light | dark}


def to_d2_classes(palette: Palette) -> str:
    """Return the D2 classes that all diagrams use, and their background."""
    line, muted = palette["line-strong"], palette["muted"]
    boxes = {
        **{tone: (palette[f"{tone}-bg"], palette[tone], palette[tone]) for tone in _TONES},
        "plain": (palette["surface"], line, palette["text"]),
        "group": (palette["page"], line, muted),
    }
    classes = [
        f"  {name}: {{style: {{fill: '{fill}'; stroke: '{stroke}'; font-color: '{text}';"
        " border-radius: 8; stroke-width: 1; font-size: 22; bold: false}}"
        for name, (fill, stroke, text) in boxes.items()
    ]
    edges = {"flow": (muted, 0), "exception": (palette["quiet-fill"], 4)}
    classes += [
        f"  {name}: {{style: {{stroke: '{colour}'; font-color: '{muted}'; stroke-width: 2;"
        f" stroke-dash: {dash}; font-size: 18; italic: false}}}}"
        for name, (colour, dash) in edges.items()
    ]
    return "\n".join([f"style.fill: '{palette['surface']}'", "classes: {", *classes, "}", ""])
