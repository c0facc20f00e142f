"""The commands that docs/reference/command-line.md and the help show are commands of `fuze`."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from api_examples import ENDPOINT_ID, ORDER_ID, RETURN_ID

from fuze_client.cli.connection import EXIT_CODES
from fuze_client.cli.main import main

_PAGE = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text()
_COMMANDS = (
    "login",
    "logout",
    "profiles",
    "completion",
    "orders",
    "payments",
    "returns",
    "webhooks",
)


def _list_groups() -> Iterator[click.Command]:
    root = click.Context(main)
    for name in _COMMANDS:
        command = main.get_command(root, name)
        assert command is not None
        yield command
        if isinstance(command, click.Group):
            yield from command.commands.values()


def _list_examples() -> list[str]:
    help_texts = [main.help or "", *(one.help or "" for one in _list_groups())]
    lines = "\n".join([_PAGE, *help_texts]).splitlines()
    found = [line for line in lines if re.match(r"\s*fuze (?!COMMAND)", line)]
    return sorted({re.split(r" {3}|[|<>&]", line)[0].strip() for line in found})


@pytest.mark.parametrize("example", _list_examples())
def test_an_example_is_a_command_with_its_options(example: str) -> None:
    text = example.replace("RETURN_ID", RETURN_ID).replace("ORDER_ID", ORDER_ID)
    text = text.replace("ENDPOINT_ID", ENDPOINT_ID)
    text = text.replace("--file order.json", "--file -")
    command: click.Command = main
    context = click.Context(main, info_name="fuze")
    arguments = shlex.split(text, comments=True)[1:]

    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
        if not isinstance(command, click.Group):
            command.make_context(name, arguments, parent=context)


def test_the_page_has_every_command_and_exit_code() -> None:
    for command in _list_groups():
        assert f"`{command.name}`" in _PAGE or f" {command.name}" in _PAGE, command.name
    codes = re.findall(r"^  (\d)  ", EXIT_CODES, re.MULTILINE)
    assert codes == re.findall(r"^\| (\d) \|", _PAGE, re.MULTILINE)
