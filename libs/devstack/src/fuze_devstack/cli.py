"""`fuze`: the embedded stack from the command line."""

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
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import httpx
import psutil
from rich.console import Console
from rich.table import Table

from fuze_devstack import demo, schemas
from fuze_devstack.components import SCHEMAS, SERVICES, Variations
from fuze_devstack.control import Request, ask
from fuze_devstack.errors import StackError
from fuze_devstack.ports import Ports
from fuze_devstack.server_user import server_user
from fuze_devstack.stack import Stack
from fuze_devstack.state import FolderLock, StackFile, make_state_folder, state_folder

COMPONENTS = ("postgres", "temporal", "sandbox", *SERVICES, "gateway")
_SIGNALS = [number.name.removeprefix("SIG") for number in signal.Signals]


class _Console(Console):
    """A console that goes on in silence once nobody reads it, as in `fuze demo | head`."""

    def on_broken_pipe(self) -> None:
        """Write to nowhere from now on: what runs is still to be stopped in order."""
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


console = _Console(highlight=False, soft_wrap=True)

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="FUZE_STATE",
    help="Folder for data, logs and stack.json.  [default: $FUZE_STATE or .fuze]",
)


class _Fuze(click.Group):
    """Says what is wrong in a sentence, rather than with a stack trace."""

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
                f"{error.filename}: {error.strerror}; choose another folder: --state"
            ) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands, that of the chaos runs too."""
        return sorted([*super().list_commands(ctx), "chaos"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; that of the chaos runs takes long to load, and few want it."""
        if cmd_name == "chaos":
            return import_module("fuze_devstack.chaos.command").chaos  # type: ignore[no-any-return]
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Fuze, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run Fuze on this machine: PostgreSQL, Temporal, a sandbox PSP and carrier, four services.

    Start with `fuze up`; everything that other tools need is then in .fuze/stack.json.
    """


def _port_options(command: Callable[..., None]) -> Callable[..., None]:
    for name, field in reversed(Ports.model_fields.items()):
        command = click.option(
            f"--{name}-port",
            type=click.IntRange(1, 65535),
            help=f"Port of {name}.  [default: {field.default}]",
        )(command)
    return command


@main.command()
@state_option
@click.option("--ports", type=click.Choice(["default", "auto"]), default="default",
              help="`auto` finds free ports for those that are not given.")  # fmt: skip
@_port_options
@click.option("--detach", "-d", is_flag=True, help="Return once all is ready; stop: fuze down.")
@click.option("--auth", is_flag=True, help="Ask callers for an API key; makes one and prints it.")
@click.option("--log-level", type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"]),
              default="INFO", show_default=True, help="How much the services log.")  # fmt: skip
def up(
    state: Path | None,
    ports: str,
    log_level: str,
    *,
    auth: bool,
    detach: bool,
    **chosen: int | None,
) -> None:
    """Start everything and stay until Ctrl-C, which stops everything."""
    folder = state_folder(state)
    if detach:
        _detach(
            folder, [argument for argument in sys.argv[1:] if argument not in {"-d", "--detach"}]
        )
        return
    base = Ports.free() if ports == "auto" else Ports()
    given = {name.removesuffix("_port"): port for name, port in chosen.items() if port}
    wanted = Ports(**(base.model_dump() | given))
    asyncio.run(_up(folder, wanted, log_level, auth=auth))


async def _up(folder: Path, ports: Ports, log_level: str, *, auth: bool) -> None:
    variations = Variations(log_level=log_level, auth=auth)
    stack = Stack(folder, ports, announce=_announce, variations=variations)
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
                console.print(f"\nCall with:  Authorization: Bearer {stack.api_key}")
            console.print(f"\nOrders flow. State and logs: {folder}. Ctrl-C stops everything.")
            await stopping
        console.print("\nStopping: the workers finish what they began …")
    finally:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError, StackError):
            await starting
        await stack.stop()
    console.print("Stopped; nothing is left running.")


def _announce(name: str, what: str, where: str) -> None:
    colour = "red" if what.startswith("ended") else "green"
    console.print(f"  [bold]{name:<11}[/bold] [{colour}]{what:<16}[/{colour}] {where}")


def _detach(folder: Path, arguments: list[str]) -> None:
    make_state_folder(folder)
    log = folder / "up.log"
    log.touch(mode=0o600)  # an API key may be in it
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
    """Stop the running stack; the workers finish what they began."""
    running = StackFile(state_folder(state)).read()
    supervisor = psutil.Process(running["supervisor"]["pid"])
    _ask(running, Request(do="stop"))
    try:
        with console.status("stopping …"):
            supervisor.wait(timeout=120)
    except psutil.TimeoutExpired:
        raise StackError(f"the stack still stops after 120 s; look at {supervisor.pid}") from None
    console.print("Stopped; nothing is left running.")


@main.command()
@state_option
def status(state: Path | None) -> None:
    """Show each component, and whether it is well; exits 1 if one is not."""
    running = StackFile(state_folder(state)).read()
    table = Table("component", "pid", "health", "where", box=None, header_style="dim")
    well = True
    for name in COMPONENTS:
        facts = running[name]
        health = _health(facts)
        well = well and health in {"ready", "running"}
        database = facts.get("dsn", "").rpartition("@")[2]  # the password is nobody's business
        where = facts.get("url") or facts.get("health") or facts.get("ui") or database
        table.add_row(name, str(facts["pid"]), health, where)
    console.print(table)
    raise SystemExit(0 if well else 1)


def _health(facts: dict[str, Any]) -> str:
    if not psutil.pid_exists(facts["pid"]):
        return "down"
    probe = facts.get("health") or (f"{facts['url']}/livez" if "url" in facts else None)
    if probe is None:
        return "running"
    try:
        answer = httpx.get(probe, timeout=5, trust_env=False)
    except httpx.HTTPError:
        return "no answer"
    return "ready" if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR else "not ready"


@main.command()
@state_option
@click.argument("component", type=click.Choice(COMPONENTS))
@click.option("--follow", "-f", is_flag=True, help="Go on as lines are written.")
@click.option("--lines", "-n", default=50, show_default=True, help="How many of the last lines.")
def logs(state: Path | None, component: str, lines: int, *, follow: bool) -> None:
    """Print the end of a component's log."""
    log = state_folder(state) / "logs" / f"{component}.log"
    if not log.exists():
        raise StackError(f"{component} has written nothing yet: {log}")
    command = ["tail", "-n", str(lines), *(["-f"] if follow else []), str(log)]
    os.execvp(command[0], command)  # noqa: S606 - tail is what people expect here


@main.command()
@state_option
@click.argument("component", type=click.Choice(COMPONENTS))
def restart(state: Path | None, component: str) -> None:
    """Stop a component if it runs, and start it; returns once it is ready."""
    running = StackFile(state_folder(state)).read()
    with console.status(f"restarting {component} …"):
        _ask(running, Request(do="restart", component=component))
    console.print(f"{component} is ready")


@main.command()
@state_option
@click.argument("component", type=click.Choice(COMPONENTS))
@click.option("--signal", "name", type=click.Choice(_SIGNALS, case_sensitive=False),
              default="KILL", show_default=True)  # fmt: skip
def kill(state: Path | None, component: str, name: str) -> None:
    """Send a component a signal. Nothing starts it again but `fuze restart`."""
    running = StackFile(state_folder(state)).read()
    number = signal.Signals[f"SIG{name.upper()}"]
    _ask(running, Request(do="kill", component=component, number=number))
    console.print(f"{component} was sent {number.name}")


def _ask(running: dict[str, dict[str, Any]], request: Request) -> None:
    asyncio.run(ask(Path(running["supervisor"]["control"]), request))


@main.command()
@state_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(state: Path | None, *, yes: bool) -> None:
    """Delete the state folder: every order, payment and parcel of this stack."""
    folder = state_folder(state)
    if not folder.exists():
        console.print(f"nothing to delete: {folder} is not there")
        return
    if not (folder / "secrets.json").exists():
        raise StackError(f"{folder} holds no stack; nothing was deleted")
    if not yes:
        click.confirm(f"delete everything in {folder}?", abort=True)
    lock = FolderLock(folder)
    lock.take()
    server_user(folder).clean_up()  # what a killed stack left outside of the folder
    shutil.rmtree(folder)
    lock.give_back()
    console.print(f"deleted {folder}")


@main.command()
@state_option
def migrate(state: Path | None) -> None:
    """Bring every service's schema to its newest revision."""
    for service in SCHEMAS:
        _schema_command(state, service, "migrate")


@main.command()
@state_option
@click.argument("service", type=click.Choice(SCHEMAS))
@click.option("--message", "-m", required=True, help="What changes, in a few words.")
def revision(state: Path | None, service: str, message: str) -> None:
    """Write a revision from the difference between a service's tables and its schema."""
    _schema_command(state, service, "revision", "-m", message)


def _schema_command(state: Path | None, service: str, *arguments: str) -> None:
    code, said = asyncio.run(schemas.run(state_folder(state), service, *arguments))
    console.print(f"[bold]{service}[/bold] {said.rstrip() or 'done'}")
    if code:
        raise SystemExit(code)


@main.command("demo")
def run_demo() -> None:
    """Start a stack of its own on free ports, play four orders, and leave nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="fuze-demo-"))
    try:
        ended_well = asyncio.run(demo.run(folder, console, _announce))
    except (StackError, httpx.HTTPError) as error:
        raise StackError(f"{error}\nthe logs: {folder}") from None
    except BaseException:  # interrupted: nothing to look at
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if not ended_well:
        raise StackError(f"an order did not end as it should; the logs: {folder}")
    shutil.rmtree(folder)
