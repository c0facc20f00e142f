"""What the commands print and ask: tables for people, JSON for programs."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime

import click
from iso4217 import Currency
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

_WIDTH_OF_FILES = 200

Cell = str | int | datetime | None


def make_printable(text: str) -> str:
    """Replace what is no character of a line: a customer's name must not control a terminal."""
    return "".join(one if one.isprintable() else "�" for one in text)


def format_amount(amount_minor: int | None, currency: str) -> str:
    """Return an amount in major units: 1999 is `19.99 USD`."""
    if amount_minor is None:
        return ""
    try:
        exponent = Currency(currency).exponent or 0
    except ValueError:  # a currency that is newer than the list
        exponent = 0
    if exponent == 0:
        return f"{amount_minor} {currency}"
    whole, fraction = divmod(amount_minor, 10**exponent)
    return f"{whole}.{fraction:0{exponent}} {currency}"


def format_time(time: datetime) -> str:
    """Return a time in the time zone of the terminal."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def confirm(question: str, *, yes: bool) -> None:
    """Ask on stderr, and end the command unless the answer is yes."""
    if not yes:
        click.confirm(question, abort=True, err=True)


def print_json(found: BaseModel | Iterable[BaseModel]) -> None:
    """Print a model, or several, each on a line of its own."""
    for one in [found] if isinstance(found, BaseModel) else found:
        click.echo(one.model_dump_json())


def print_line(text: str) -> None:
    """Print a line whose parts may be of a customer."""
    click.echo(make_printable(text))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table; in a file or pipe, no column is shortened."""
    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    console = Console(highlight=False, markup=False, width=width)
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column.endswith("id"))
    for row in rows:
        table.add_row(*map(_to_text, row))
    console.print(table)


def _to_text(cell: Cell) -> str:
    if cell is None:
        return ""
    return format_time(cell) if isinstance(cell, datetime) else make_printable(str(cell))
