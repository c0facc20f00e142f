"""The command line of a service: `python -m fuze_order [run|check|init|migrate|…]`."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from pydantic import SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from fuze_runtime import setup_commands, telemetry
from fuze_runtime.build_info import describe_build
from fuze_runtime.known_variables import warn_of_unknown_variables
from fuze_runtime.service import Service
from fuze_runtime.settings import DatabaseSettings, Duration, MigrationSettings, ProcessSettings
from fuze_runtime.temporal_check import TemporalError

Settings = TypeVar("Settings", bound=BaseSettings)

_DEFAULT_RETENTION = timedelta(days=7)
_MIN_RETENTION = timedelta(days=1)
FIRST_START = "Before the first start: migrate, init, check."


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a service's own, beside those that every service has."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Awaitable[None]]


def main(
    service: Service[Any],
    run_worker: Callable[[], Awaitable[None]],
    *,
    workflow_log_fields: telemetry.WorkflowLogFields,
    commands: Sequence[Command] = (),
) -> None:
    """Run the command of a service with a worker; without a command, run the worker.

    `commands` are the service's own, beside those that every service has.
    """
    own = {command.name: command for command in commands}
    parser = argparse.ArgumentParser(
        prog=f"python -m {service.package}",
        description=f"The {service.name} service. FUZE_* and TEMPORAL_* variables configure it.",
        epilog=FIRST_START,
    )
    parser.add_argument("--version", action="version", version=describe_build(service.package))
    parsers = parser.add_subparsers(dest="command", metavar="command")
    parsers.add_parser("run", help="run the worker until SIGTERM (the default)")
    add_setup_commands(parsers)
    for command in commands:
        command.add_arguments(parsers.add_parser(command.name, help=command.help))
    arguments = parser.parse_args()

    telemetry.configure(
        load_settings(ProcessSettings),
        service.name,
        environment=os.environ,
        workflow_log_fields=workflow_log_fields,
        has_output=arguments.command not in {None, "run"},
    )
    warn_of_unknown_variables(os.environ)
    with end_process():
        if selected := own.get(arguments.command):
            asyncio.run(_run_worker(lambda: selected.run(arguments)))
        elif not handle_setup_command(arguments, service):
            asyncio.run(_run_worker(run_worker))


@contextmanager
def end_process() -> Iterator[None]:
    """End the process after the block, with its exit code, without finalizing Python.

    Finalization races with the threads of Temporal's SDK, which it lets crash: the process of a
    command that succeeded would end by SIGSEGV or SIGABRT (temporalio/sdk-python 300).
    """
    code: int | str | None = 0
    try:
        yield
    except SystemExit as end:
        code = end.code
    finally:
        telemetry.shut_down()
    if isinstance(code, str):
        print(code, file=sys.stderr)  # noqa: T201 - as Python does
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def add_setup_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands that check and make what a service needs outside of itself."""
    commands.add_parser(
        "check",
        help="say what is there, what is missing, and how to make it",
        description=setup_commands.CHECK_DESCRIPTION,
    )
    init = commands.add_parser(
        "init",
        help="create the namespace and the schedules in Temporal that do not exist",
        description=setup_commands.INIT_DESCRIPTION,
    )
    init.add_argument(
        "--retention",
        type=_parse_duration,
        default=_DEFAULT_RETENTION,
        metavar="DURATION",
        help="how long a new namespace keeps the histories of closed workflows, at least a day: "
        "`30d`, or seconds; the default is 7d",
    )
    commands.add_parser(
        "migrate", help="upgrade the schema to its newest revision, as FUZE_MIGRATION_DATABASE_URL"
    )
    commands.add_parser(
        "check-migrations", help="fail when the tables in the code differ from the schema"
    )
    revision = commands.add_parser("revision", help="write a revision from the tables in the code")
    revision.add_argument("-m", "--message", required=True, help="what the revision changes")


def handle_setup_command(arguments: argparse.Namespace, service: Service[Any]) -> bool:
    """Run a command that `add_setup_commands` added; return False when it is another command.

    Raises:
        SystemExit: something is missing or could not be made.

    """
    match arguments.command:
        case "check":
            code = asyncio.run(setup_commands.check(service, _load_for_check(service)))
        case "init":
            settings = load_settings(service.settings_type)
            code = asyncio.run(setup_commands.init(service, settings, arguments.retention))
        case "migrate" | "check-migrations" | "revision":
            _run_schema_command(arguments, service.package)
            return True
        case _:
            return False
    if code:
        raise SystemExit(code)
    return True


def _load_for_check(service: Service[Any]) -> DatabaseSettings:
    try:
        settings: DatabaseSettings = load_settings(service.settings_type)
    except SystemExit as invalid:
        for line in str(invalid).splitlines():
            print(setup_commands.Finding("missing", "settings", line))  # noqa: T201 - its output
        raise SystemExit(1) from None
    return settings


def _parse_duration(text: str) -> timedelta:
    """Parse a duration as settings do.

    Raises:
        ArgumentTypeError: it is none, or shorter than Temporal allows.

    """
    try:
        duration = TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        duration = timedelta(0)
    if duration < _MIN_RETENTION:
        raise argparse.ArgumentTypeError(f"{text} is not a duration of a day or more, such as 30d")
    return duration


def _run_schema_command(arguments: argparse.Namespace, package: str) -> None:
    from fuze_runtime import migrations  # noqa: PLC0415 - no other command needs Alembic

    settings = load_settings(MigrationSettings)
    try:
        match arguments.command:
            case "migrate":
                migrations.upgrade(settings, package)
            case "check-migrations":
                migrations.check(settings, package)
            case "revision":
                migrations.create_revision(settings, package, arguments.message)
    except migrations.MigrationError as error:
        raise SystemExit(str(error)) from None


def load_settings(settings_type: type[Settings]) -> Settings:
    """Return settings from the environment.

    Raises:
        SystemExit: settings are missing or invalid. The message has one line for each: its
            variable, the problem and an example. It never has a value, which may be a secret.

    """
    try:
        return settings_type()
    except ValidationError as error:
        problems = [
            _describe_problem(settings_type, problem["loc"], line)
            for problem in error.errors(include_input=False, include_url=False)
            for line in problem["msg"].splitlines()
        ]
    raise SystemExit("\n".join(problems))


def _describe_problem(
    settings_type: type[BaseSettings], location: tuple[int | str, ...], message: str
) -> str:
    message = message.removeprefix("Value error, ")
    if not location:  # of several settings together; the message names them
        return message
    name = str(location[0])
    variable = f"FUZE_{name.upper()}"
    example = _get_example(settings_type.model_fields[name])
    has_example = example is None or f"{variable}=" in message
    return f"{variable}: {message}" + ("" if has_example else f"; example: {variable}={example}")


def _get_example(field: FieldInfo) -> str | None:
    """Return an example as text for the environment: the field's own, or its default."""
    value = field.examples[0] if field.examples else field.default
    match value:
        case bool():
            return str(not value).lower()
        case timedelta():
            return f"{value.total_seconds():g}"
        case SecretStr() | None:
            return None
        case list() | dict():
            return json.dumps(value)
        case _ if value is PydanticUndefined:
            return None
    return str(value)


async def _run_worker(run_worker: Callable[[], Awaitable[None]]) -> None:
    try:
        await run_worker()
    except TemporalError as problem:
        structlog.get_logger(__name__).error("worker not started", reason=str(problem))
        raise SystemExit(1) from None
    except Exception:  # noqa: BLE001 - logged here, where nothing else would catch it
        structlog.get_logger(__name__).exception("worker failed")
        raise SystemExit(1) from None
