"""What the commands of `fuze` share: the terminal, and the option that names the state folder."""

import os
import sys
from pathlib import Path

import click
from rich.console import Console


class _Console(Console):
    """A console that discards its output once the reader is gone, as in `fuze demo | head`."""

    def on_broken_pipe(self) -> None:
        """Discard all further output: the running stack must still be stopped in order."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


console = _Console(highlight=False, soft_wrap=True)

state_option = click.option(
    "--state-dir",
    "state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="FUZE_STATE_DIR",
    help="Folder for data, logs and stack.json.  [default: $FUZE_STATE_DIR or .fuze]",
)


def print_progress(name: str, state: str, address: str) -> None:
    """Print a component's new state, and its address or what to do."""
    colour = "red" if state.startswith("exited") else "green"
    console.print(f"  [bold]{name:<11}[/bold] [{colour}]{state:<16}[/{colour}] {address}")
