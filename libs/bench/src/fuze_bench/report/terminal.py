"""The report in the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fuze_bench.report.figures import build_growth_rows, build_rows, footnotes
from fuze_bench.results import BenchReport


def render_tables(report: BenchReport) -> list[RenderableType]:
    """Return the figures, the ratios, what the sides cannot do, and the notes."""
    return [
        _figures(report),
        _ratios(report),
        _growth(report),
        _limits(report),
        _notes(report),
    ]


def _figures(report: BenchReport) -> Table:
    titles = {side.name: side.title for side in report.sides}
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    for summary in report.summaries:
        table.add_column(titles[summary.side], justify="right")
    for row in build_rows(report):
        table.add_row(Text(row.name, style="bold" if row.is_heading else ""), *row.values)
    return table


def _ratios(report: BenchReport) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for ratio in report.ratios:
        table.add_row(ratio.name, f"{ratio.value:.2f}")
    return Group(Text("\nRatios", style="bold"), table) if report.ratios else Group()


def _growth(report: BenchReport) -> RenderableType:
    if report.growth is None:
        return Group()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for row in build_growth_rows(report.growth):
        table.add_row(row.name, *row.values)
    return Group(Text("\nFuze, as orders pile up", style="bold"), table)


def _limits(report: BenchReport) -> RenderableType:
    lines = [Text("\nWhat the other sides do not do", style="bold")]
    lines += [Text(f"{side.title}: {limit}") for side in report.sides for limit in side.limits]
    return Group(*lines) if len(lines) > 1 else Group()


def _notes(report: BenchReport) -> RenderableType:
    return Group(Text(""), *(Text(note, style="dim") for note in footnotes(report)))
