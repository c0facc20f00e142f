"""The command `fuze up`: a stack in this process, or in one that it leaves running."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.stack import Stack
from fuze_devstack.state import StackFile, make_state_folder, state_folder
from fuze_devstack.terminal import console, print_progress, state_option
from fuze_devstack.topology import StackOptions


def _port_options(command: Callable[..., None]) -> Callable[..., None]:
    for name, port in reversed(list(Ports().items())):
        command = click.option(
            f"--{name}-port",
            type=click.IntRange(1, 65535),
            help=f"Port of {name}.  [default: {port}]",
        )(command)
    return command


@click.command()
@state_option
@click.option("--ports", type=click.Choice(["default", "auto"]), default="default",
              help="`auto` uses free ports for those that are not given.")  # fmt: skip
@_port_options
@click.option(
    "--detach", "-d", is_flag=True, help="Return when everything is ready; `fuze down` stops it."
)
@click.option("--auth", is_flag=True, help="Require an API key; one is created and printed.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
              default="INFO", show_default=True, help="Log level of the services.")  # fmt: skip
def up(
    state: Path | None,
    ports: str,
    log_level: str,
    *,
    auth: bool,
    detach: bool,
    **ports_by_option: int | None,
) -> None:
    """Start everything and run until Ctrl-C, which stops everything."""
    folder = state_folder(state)
    if detach:
        _detach(
            folder, [argument for argument in sys.argv[1:] if argument not in {"-d", "--detach"}]
        )
        return
    base = Ports.free() if ports == "auto" else Ports()
    given = {name.removesuffix("_port"): port for name, port in ports_by_option.items() if port}
    wanted = Ports(**(dict(base) | given))
    asyncio.run(_up(folder, wanted, log_level, auth=auth))


async def _up(folder: Path, ports: Ports, log_level: str, *, auth: bool) -> None:
    options = StackOptions(log_level=log_level, auth=auth)
    stack = Stack(folder, ports, on_progress=print_progress, options=options)
    stop = stack.stop_requested
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    starting = asyncio.ensure_future(stack.start())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            if stack.api_key:
                console.print(f"\nAPI key:  Authorization: Bearer {stack.api_key}")
            console.print(f"\nReady. Console: http://127.0.0.1:{ports.console}")
            console.print(f"State and logs: {folder}. {_how_to_stop(folder)}")
            await stopping
        console.print("\nStopping: the workers drain …")
    finally:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, StackError):
            await starting
        await stack.stop()
    console.print("Stopped; no process is left.")


def _how_to_stop(folder: Path) -> str:
    is_detached = os.getsid(0) == os.getpid()
    return f"Stop it: fuze down --state-dir {folder}" if is_detached else "Ctrl-C stops everything."


def _detach(folder: Path, arguments: list[str]) -> None:
    make_state_folder(folder)
    log = folder / "up.log"
    log.touch(mode=0o600)  # it may contain an API key
    before = log.stat().st_size
    with log.open("a") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "fuze_devstack", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    file = StackFile(folder)
    try:
        with console.status("starting …"):
            while started.poll() is None:
                with contextlib.suppress(StackError):
                    if file.read()["supervisor"]["pid"] == started.pid:
                        break
                time.sleep(0.1)
    except KeyboardInterrupt:
        started.terminate()
        started.wait()
        raise
    console.print(log.read_bytes()[before:].decode().rstrip(), markup=False)
    if started.poll() is not None:
        raise SystemExit(started.returncode or 1)
