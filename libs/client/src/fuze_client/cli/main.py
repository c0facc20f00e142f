"""The command `fuze`. Each of its commands is an entry point of a package that is installed."""

import io
import sys
from importlib.metadata import entry_points
from typing import Any

import click

_COMMANDS = "fuze.commands"
"""The entry-point group in which a package adds a command to `fuze`."""


class _Fuze(click.Group):
    """Reports an error as one sentence, without a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal may know ASCII only
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.filename is None:
                raise
            raise click.ClickException(f"{error.filename}: {error.strerror}") from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return sorted({entry.name for entry in entry_points(group=_COMMANDS)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a command; its package is imported only when it is used."""
        for entry in entry_points(group=_COMMANDS, name=cmd_name):
            command: click.Command = entry.load()
            return command
        return None


@click.group(cls=_Fuze, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fuze-client")
def main() -> None:
    """Operate the orders of a Fuze gateway, and run Fuze on this machine.

    \b
    fuze login                                  store a gateway and your API key
    fuze orders list --waiting-for approval     what waits for you
    fuze orders approve ORDER_ID
    fuze orders watch ORDER_ID                  its events, as they happen
    fuze webhooks list                          where its events are sent

    Without a login it is the gateway of `fuze up`. That command is there where the development
    stack is installed:

    \b
    fuze up                        start everything; Ctrl-C stops it
    fuze status                    show each component and its health
    fuze logs order --follow       print a service's log
    fuze kill order                test a crash; fuze restart order ends it

    Data and logs of the stack are in the state folder (.fuze). The addresses, process ids and log
    files while it runs are in .fuze/stack.json, for other tools.
    """  # noqa: D301 - click needs the backspace itself
