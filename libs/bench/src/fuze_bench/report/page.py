"""The report as one HTML page, without scripts or files beside it."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from fuze_bench.report import charts
from fuze_bench.report.figures import build_rows, footnotes
from fuze_bench.results import BenchReport
from fuze_bench.side import ROLES, SANDBOX

_PERCENTS = (50.0, 75.0, 90.0, 95.0, 99.0)


def render_page(report: BenchReport) -> str:
    """Return the page."""
    environment = Environment(
        loader=PackageLoader("fuze_bench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    curves, highest = charts.build_latency_curves(report)
    used = {role for one in report.summaries for role in one.cpu} - {SANDBOX}
    return environment.get_template("page.html.j2").render(
        report=report,
        rows=build_rows(report),
        footnotes=footnotes(report),
        cpu_bars=charts.build_cpu_bars(report),
        speed_bars=charts.build_speed_bars(report),
        bars_height=charts.bars_height(len(report.summaries)),
        curves=curves,
        highest=highest,
        percents=[(percent, charts.percent_x(percent)) for percent in _PERCENTS],
        legend=[(index, role) for index, role in enumerate(ROLES) if role in used],
        width=charts.WIDTH,
        label_width=charts.LABEL_WIDTH,
    )
