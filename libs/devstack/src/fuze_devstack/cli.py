"""The command `fuze`: the development stack from the command line."""

import asyncio
import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click
import httpx
import psutil
from rich.console import Console
from rich.table import Table

from fuze_devstack import demo, schema_commands
from fuze_devstack.control import Command, send_command
from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.server_user import server_user
from fuze_devstack.services import MIGRATED_SERVICES
from fuze_devstack.stack import Stack
from fuze_devstack.state import FolderLock, StackFile, make_state_folder, state_folder
from fuze_devstack.topology import COMPONENTS, StackOptions

_SIGNALS = [number.name.removeprefix("SIG") for number in signal.Signals]

_COMMANDS = "fuze.commands"
"""The entry-point group in which a package adds a command to `fuze`."""


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


class _Fuze(click.Group):
    """Reports an error as one sentence, without a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal may know ASCII only
        try:
            return super().invoke(ctx)
        except StackError as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if error.filename is None:
                raise
            raise click.ClickException(
                f"{error.filename}: {error.strerror}; choose another folder: --state-dir"
            ) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, including those that other packages add."""
        added = (entry.name for entry in entry_points(group=_COMMANDS))
        return sorted({*super().list_commands(ctx), *added})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; that of another package is imported only when it is used."""
        for entry in entry_points(group=_COMMANDS, name=cmd_name):
            command: click.Command = entry.load()
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Fuze, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run Fuze on this machine: PostgreSQL, Temporal, the services, and a sandbox PSP and carrier.

    \b
    fuze up                        start everything; Ctrl-C stops it
    fuze status                    show each component and its health
    fuze logs order --follow       print a service's log
    fuze kill order                test a crash; fuze restart order ends it

    Data and logs are in the state folder (.fuze). The addresses, process ids and log files of the
    running stack are in .fuze/stack.json, for other tools.
    """  # noqa: D301 - click needs the backspace itself


def _port_options(command: Callable[..., None]) -> Callable[..., None]:
    for name, port in reversed(list(Ports().items())):
        command = click.option(
            f"--{name}-port",
            type=click.IntRange(1, 65535),
            help=f"Port of {name}.  [default: {port}]",
        )(command)
    return command


@main.command()
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
    stack = Stack(folder, ports, on_progress=_print_progress, options=options)
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
            console.print(f"\nReady. State and logs: {folder}. Ctrl-C stops everything.")
            await stopping
        console.print("\nStopping: the workers drain …")
    finally:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, StackError):
            await starting
        await stack.stop()
    console.print("Stopped; no process is left.")


def _print_progress(name: str, state: str, address: str) -> None:
    colour = "red" if state.startswith("exited") else "green"
    console.print(f"  [bold]{name:<11}[/bold] [{colour}]{state:<16}[/{colour}] {address}")


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


@main.command()
@state_option
def down(state: Path | None) -> None:
    """Stop the running stack; the workers drain first."""
    running = StackFile(state_folder(state)).read()
    supervisor = psutil.Process(running["supervisor"]["pid"])
    _send(running, Command(name="stop"))
    try:
        with console.status("stopping …"):
            supervisor.wait(timeout=120)
    except psutil.TimeoutExpired:
        raise StackError(
            f"the stack has not stopped after 120 s; its process is {supervisor.pid}"
        ) from None
    console.print("Stopped; no process is left.")


@main.command()
@state_option
def status(state: Path | None) -> None:
    """Show each component and its health; exit with 1 when one is not healthy."""
    running = StackFile(state_folder(state)).read()
    table = Table("component", "pid", "health", "address", box=None, header_style="dim")
    is_healthy = True
    for name in COMPONENTS:
        info = running[name]
        health = _check_health(info)
        is_healthy = is_healthy and health in {"ready", "running"}
        database = info.get("dsn", "").rpartition("@")[2]  # without the password
        address = info.get("url") or info.get("health") or info.get("ui") or database
        table.add_row(name, str(info["pid"]), health, address)
    console.print(table)
    raise SystemExit(0 if is_healthy else 1)


def _check_health(info: dict[str, Any]) -> str:
    if not psutil.pid_exists(info["pid"]):
        return "down"
    probe = info.get("health") or (f"{info['url']}/livez" if "url" in info else None)
    if probe is None:
        return "running"
    try:
        response = httpx.get(probe, timeout=5, trust_env=False)
    except httpx.HTTPError:
        return "no response"
    return "ready" if response.status_code < httpx.codes.INTERNAL_SERVER_ERROR else "not ready"


@main.command()
@state_option
@click.argument("component", type=click.Choice(COMPONENTS))
@click.option("--follow", "-f", is_flag=True, help="Print new lines as they are written.")
@click.option("--lines", "-n", default=50, show_default=True, help="Number of lines.")
def logs(state: Path | None, component: str, lines: int, *, follow: bool) -> None:
    """Print the end of a component's log."""
    log = state_folder(state) / "logs" / f"{component}.log"
    if not log.exists():
        raise StackError(f"{component} has no log yet: {log}; start the stack: fuze up")
    command = ["tail", "-n", str(lines), *(["-f"] if follow else []), str(log)]
    os.execvp(command[0], command)  # noqa: S606 - tail's behaviour is known


@main.command()
@state_option
@click.argument("component", type=click.Choice(COMPONENTS))
def restart(state: Path | None, component: str) -> None:
    """Stop a component if it runs, start it, and return when it is ready."""
    running = StackFile(state_folder(state)).read()
    with console.status(f"restarting {component} …"):
        _send(running, Command(name="restart", component=component))
    console.print(f"{component} is ready")


@main.command()
@state_option
@click.argument("component", type=click.Choice(COMPONENTS))
@click.option("--signal", "name", type=click.Choice(_SIGNALS, case_sensitive=False),
              default="KILL", show_default=True)  # fmt: skip
def kill(state: Path | None, component: str, name: str) -> None:
    """Send a signal to a component. It stays down until `fuze restart`."""
    running = StackFile(state_folder(state)).read()
    number = signal.Signals[f"SIG{name.upper()}"]
    _send(running, Command(name="kill", component=component, number=number))
    console.print(f"sent {number.name} to {component}")


def _send(running: dict[str, dict[str, Any]], command: Command) -> None:
    asyncio.run(send_command(Path(running["supervisor"]["control"]), command))


@main.command()
@state_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def reset(state: Path | None, *, yes: bool) -> None:
    """Delete the state folder: all data of this stack."""
    folder = state_folder(state)
    if not folder.exists():
        console.print(f"nothing to delete: {folder} does not exist")
        return
    if not (folder / "secrets.json").exists():
        raise StackError(f"{folder} is not a state folder; nothing was deleted")
    if not yes:
        click.confirm(f"delete everything in {folder}?", abort=True)
    lock = FolderLock(folder)
    lock.acquire()
    server_user(folder).clean_up()  # left outside the folder by a killed stack
    shutil.rmtree(folder)
    lock.release()
    console.print(f"deleted {folder}")


@main.command()
@state_option
def migrate(state: Path | None) -> None:
    """Upgrade the schema of every service to its newest revision."""
    for service in MIGRATED_SERVICES:
        _schema_command(state, service.name, "migrate")


@main.command()
@state_option
@click.argument("service", type=click.Choice([one.name for one in MIGRATED_SERVICES]))
@click.option("--message", "-m", required=True, help="What the revision changes, in a few words.")
def revision(state: Path | None, service: str, message: str) -> None:
    """Write a migration: the difference between a service's tables in the code and its schema."""
    _schema_command(state, service, "revision", "-m", message)


def _schema_command(state: Path | None, service: str, *arguments: str) -> None:
    code, output = asyncio.run(schema_commands.run(state_folder(state), service, *arguments))
    console.print(f"[bold]{service}[/bold] {output.rstrip() or 'done'}")
    if code:
        raise SystemExit(code)


@main.command("demo")
def run_demo() -> None:
    """Run four orders on a stack of its own, on free ports, and delete it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fuze-demo-"))
    try:
        is_as_expected = asyncio.run(demo.run(folder, console, _print_progress))
    except (StackError, httpx.HTTPError) as error:
        raise StackError(f"{error}; the logs are in {folder}") from None
    except BaseException:  # interrupted: the logs are of no use
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if not is_as_expected:
        raise StackError(f"an order did not close as expected; the logs are in {folder}")
    shutil.rmtree(folder)
