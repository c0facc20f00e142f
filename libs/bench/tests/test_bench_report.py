"""The tables and the page."""

import json
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree as ET

from report_builder import build_bench_report, build_round
from rich.console import Console

from fuze_bench.report.charts import build_cpu_bars, build_latency_curves, build_speed_bars
from fuze_bench.report.figures import build_rows
from fuze_bench.report.page import render_page
from fuze_bench.report.terminal import render_tables
from fuze_bench.results import BenchReport, Growth, GrowthStep

REPORT = build_bench_report(
    build_round("fuze", history_events=40.0, workflow_tasks=8.0),
    build_round("celery", orders_per_second=20.0, cpu={"application": 30.0}, rate=4.0),
)


def render(report: BenchReport) -> str:
    console = Console(file=StringIO(), width=120)
    for table in render_tables(report):
        console.print(table)
    return str(console.file.getvalue())  # type: ignore[attr-defined] # a StringIO


def test_a_figure_that_a_side_does_not_have_is_a_dash() -> None:
    rows = {row.name.strip(): row.values for row in build_rows(REPORT)}

    assert rows["history events"] == ("40.0", "-")
    assert rows["writing transactions"] == ("8.0", "-")
    assert rows["order worker"] == ("20.0", "-")


def test_requests_that_were_repeated_are_shown_where_there_are_any() -> None:
    name = "repeated after a 503"
    rows = {row.name: row.values for row in build_rows(REPORT)}
    busy = build_bench_report(build_round("fuze", 0, repeated_requests=2), build_round("fuze", 1))

    assert name not in rows
    assert {row.name: row.values for row in build_rows(busy)}[name] == ("2",)


def test_roles_that_no_side_has_are_left_out() -> None:
    assert "Redis" not in {row.name.strip() for row in build_rows(REPORT)}


def test_the_terminal_shows_figures_ratios_limits_and_settings() -> None:
    shown = render(REPORT)

    for text in ("orders per second", "Fuze / celery", "<slow>", "fsync on", "lib 1.2"):
        assert text in shown


def test_the_terminal_shows_what_grows_where_it_was_measured() -> None:
    step = GrowthStep(name="10000 stored orders", cpu_own=61.5, blocks=300.0)
    growth = Growth(
        steps=(step,), open_orders=1000, order_worker_bytes=93_000_000, resume_seconds=14.25
    )
    shown = render(REPORT.model_copy(update={"growth": growth}))

    assert "pile up" not in render(REPORT)
    for text in ("10000 stored orders", "61.5; 300", "1000 open orders", "93", "14.2"):
        assert text in shown


def test_the_page_is_complete_and_escapes_what_it_shows() -> None:
    page = render_page(REPORT)

    HTMLParser().feed(page)
    assert "&lt;slow&gt;" in page
    assert "<script" not in page
    assert page.rstrip().endswith("</html>")


def test_each_chart_of_the_page_is_well_formed() -> None:
    charts = [f"<svg{part.split('</svg>')[0]}</svg>" for part in render_page(REPORT).split("<svg")]

    assert [ET.fromstring(chart).tag for chart in charts[1:]] == ["svg"] * 3  # noqa: S314 - our own chart


def test_a_bar_is_as_long_as_its_figure() -> None:
    fuze, celery = build_speed_bars(REPORT)

    assert celery.segments[0].width == 2 * fuze.segments[0].width


def test_a_bar_of_cpu_has_a_segment_for_each_role_and_none_for_the_outside_world() -> None:
    fuze, _ = build_cpu_bars(REPORT)

    assert [segment.tooltip.partition(":")[0] for segment in fuze.segments] == [
        "Temporal server",
        "order worker",
        "PostgreSQL",
    ]


def test_the_latency_curve_ends_at_the_99th_percentile() -> None:
    curves, highest = build_latency_curves(REPORT)

    assert ([curve.label for curve in curves], highest) == (["Fuze", "Celery"], 0.5)
    assert curves[0].path.startswith("M70.0,110.0")
    assert curves[0].path.endswith("690.0,0.0")


def test_the_json_file_can_be_read_again() -> None:
    written = REPORT.model_dump_json()

    assert BenchReport.model_validate_json(written) == REPORT
    assert json.loads(written)["summaries"][0]["cpu"]["order worker"] == 20.0
