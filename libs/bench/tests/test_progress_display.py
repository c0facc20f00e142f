"""The progress of a run, in a terminal and elsewhere."""

from io import StringIO

from rich.console import Console

from fuze_bench.progress_display import ProgressDisplay


def show(*, is_terminal: bool) -> str:
    """What is shown of two phases, in the first of which an order was shipped."""
    output = StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=100)
    with ProgressDisplay(console, expected_orders=2) as display:
        display.update("round 1/1, Fuze: warm-up", 0)
        display.update("", 1)
        display.update("round 1/1, Fuze: 40 at once", 0)
    return output.getvalue()


def test_a_line_is_printed_for_each_phase() -> None:
    lines = show(is_terminal=False).splitlines()

    assert [line.split(" s  ")[1] for line in lines] == [
        "round 1/1, Fuze: warm-up",
        "round 1/1, Fuze: 40 at once",
    ]


def test_a_terminal_shows_a_bar_with_the_orders_that_were_shipped() -> None:
    shown = show(is_terminal=True)

    assert "40 at once" in shown
    assert "1 orders" in shown
