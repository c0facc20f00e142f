"""Charts of what one order did, as Vega-Lite: its timeline, and its trace."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pictures.palette import Palette

from fuze_console.states import ENDS

_RECORDED = Path(__file__).parent / "recorded"
_SERVICES = {"gateway": "quiet", "order": "busy", "payment": "good", "shipping": "wait"}
_LEFT_OUT = ("connect", "BEGIN", "COMMIT", "SELECT")
"""Spans that tell a reader of the picture nothing."""


def draw_timeline(palette: Palette) -> str:
    """Return the chart of an order's events: how long it was in the status after each."""
    events = json.loads((_RECORDED / "timeline.json").read_text())
    times = [datetime.fromisoformat(event["occurred_at"]).timestamp() for event in events]
    tones = {status: end.tone for end in ENDS for status in end.statuses}
    rows = [
        {
            "row": f"{event['seq']}  {event['type']}",
            "start": start - times[0],
            "end": end - times[0],
            "text": f"{event['status']}, payment {event['payment_status']}",
            "colour": tones[event["status"]],
        }
        for event, start, end in zip(events, times, [*times[1:], times[-1]], strict=True)
    ]
    colours = {tone: tone for tone in dict.fromkeys(tones.values())}
    return _draw(palette, rows, "seconds since the order was placed", colours, label_width=220)


def draw_trace(palette: Palette) -> str:
    """Return the chart of an order's spans, each indented below its parent."""
    spans = json.loads((_RECORDED / "trace.json").read_text())
    rows = [
        {
            "row": f"{index:02d}",
            "label": f"{'·  ' * depth}{span['name']}",
            "start": span["start_ms"],
            "end": span["end_ms"],
            "text": f"{duration:.0f} ms" if (duration := span["end_ms"] - span["start_ms"]) else "",
            "colour": span["service"],
        }
        for index, (span, depth) in enumerate(_walk(spans, ""))
    ]
    return _draw(palette, rows, "milliseconds since the request", _SERVICES, label_width=300)


def _walk(
    spans: list[dict[str, Any]], parent_id: str, depth: int = 0
) -> list[tuple[dict[str, Any], int]]:
    """Return the spans below a parent, in the order in which they began, with their depths."""
    found = []
    for span in spans:
        if span["parent_id"] == parent_id and not span["name"].startswith(_LEFT_OUT):
            found += [(span, depth), *_walk(spans, span["id"], depth + 1)]
    return found


def _draw(
    palette: Palette,
    rows: list[dict[str, Any]],
    title: str,
    colours: dict[str, str],
    *,
    label_width: int,
) -> str:
    """Return a chart of a bar in each row, with a text behind it.

    `colours` are tones of the palette, by the values of `colour`; there is a legend where the two
    differ.
    """
    shortest = max(row["end"] for row in rows) / 250  # what is shorter can still be seen
    for row in rows:
        row["end"] = max(row["end"], row["start"] + shortest)
    order = [row["row"] for row in rows]
    labels = {row["row"]: row.get("label", row["row"]) for row in rows}
    legend = None
    if set(colours) != set(colours.values()):
        legend = {
            "orient": "top",
            "title": None,
            "labelColor": palette["text"],
            "labelFontSize": 14,
        }
    text = {"labelColor": palette["text"], "labelFontSize": 14, "titleColor": palette["muted"]}
    position = {"field": "start", "type": "quantitative"}
    chart = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": palette["surface"],
        # The last text is wider in a browser, which has other fonts than the one that measures it.
        "padding": {"left": 20, "top": 20, "right": 70, "bottom": 20},
        "width": 620,
        "height": {"step": 28},
        "data": {"values": rows},
        "config": {"font": "system-ui, sans-serif", "view": {"stroke": None}},
        "encoding": {
            "y": {
                "field": "row",
                "type": "nominal",
                "sort": order,
                "axis": {
                    **text,
                    "title": None,
                    "domain": False,
                    "ticks": False,
                    "labelAlign": "left",
                    "labelPadding": label_width,
                    "labelLimit": label_width,
                    "labelExpr": f"({json.dumps(labels)})[datum.value]",
                },
            }
        },
        "layer": [
            {
                "mark": {"type": "bar", "height": 16, "cornerRadius": 3},
                "encoding": {
                    "x": {
                        **position,
                        "axis": {
                            **text,
                            "title": title,
                            "tickCount": 6,
                            "titleFontSize": 14,
                            "titleFontWeight": "normal",
                            "gridColor": palette["line"],
                            "domainColor": palette["line-strong"],
                            "tickColor": palette["line-strong"],
                        },
                    },
                    "x2": {"field": "end"},
                    "color": {
                        "field": "colour",
                        "type": "nominal",
                        "legend": legend,
                        "scale": {
                            "domain": list(colours),
                            "range": [palette[f"{tone}-fill"] for tone in colours.values()],
                        },
                    },
                },
            },
            {
                "mark": {
                    "type": "text",
                    "align": "left",
                    "dx": 6,
                    "fontSize": 13,
                    "color": palette["muted"],
                },
                "encoding": {
                    "x": {"field": "end", "type": "quantitative"},
                    "text": {"field": "text"},
                },
            },
        ],
    }
    return json.dumps(chart)
