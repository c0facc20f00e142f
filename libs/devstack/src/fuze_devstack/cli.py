"""The commands of the development stack; those of other modules are in pyproject.toml, too."""

import asyncio
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import click
import httpx
import psutil
from rich.table import Table

from fuze_devstack import demo, schema_commands
from fuze_devstack.control import Command, send_command
from fuze_devstack.errors import StackError
from fuze_devstack.server_user import delete_abandoned_copies
from fuze_devstack.services import MIGRATED_SERVICES
from fuze_devstack.state import FolderLock, StackFile, state_folder
from fuze_devstack.terminal import console, print_progress, state_option
from fuze_devstack.topology import COMPONENTS

_SIGNALS = [number.name.removeprefix("SIG") for number in signal.Signals]


@click.command()
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


@click.command()
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


@click.command()
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


@click.command()
@state_option
@click.argument("components", type=click.Choice(COMPONENTS), nargs=-1, required=True)
def restart(state: Path | None, components: tuple[str, ...]) -> None:
    """Stop components if they run, start them one by one, and return when they are ready."""
    running = StackFile(state_folder(state)).read()
    for component in components:
        with console.status(f"restarting {component} …"):
            _send(running, Command(name="restart", component=component))
        console.print(f"{component} is ready")


@click.command()
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


@click.command()
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
    shutil.rmtree(folder)
    delete_abandoned_copies()
    lock.release()
    console.print(f"deleted {folder}")


@click.command()
@state_option
def migrate(state: Path | None) -> None:
    """Upgrade the schema of every service to its newest revision."""
    for service in MIGRATED_SERVICES:
        _schema_command(state, service.name, "migrate")


@click.command()
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


@click.command("demo")
def run_demo() -> None:
    """Run six orders on a stack of its own, on free ports, and delete it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fuze-demo-"))
    try:
        is_as_expected = asyncio.run(demo.run(folder, console, print_progress))
    except (StackError, httpx.HTTPError) as error:
        raise StackError(f"{error}; the logs are in {folder}") from None
    except BaseException:  # interrupted: the logs are of no use
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if not is_as_expected:
        raise StackError(f"an order did not close as expected; the logs are in {folder}")
    shutil.rmtree(folder)
