"""The command line of a service: `python -m fuze_order [run|migrate|check|revision]`."""

import argparse
import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import structlog
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from fuze_runtime import telemetry
from fuze_runtime.known_variables import warn_of_unknown_variables
from fuze_runtime.settings import MigrationSettings, ProcessSettings

Settings = TypeVar("Settings", bound=BaseSettings)


def main(
    service: str,
    run_worker: Callable[[], Awaitable[None]],
    *,
    workflow_log_fields: telemetry.WorkflowLogFields,
) -> None:
    """Run the command of a service with a worker; without a command, run the worker.

    The other commands migrate the schema of the service, `fuze_<service>`.
    """
    package = f"fuze_{service}"
    parser = argparse.ArgumentParser(
        prog=f"python -m {package}",
        description=f"The {service} service. FUZE_* and TEMPORAL_* variables configure it.",
    )
    commands = parser.add_subparsers(dest="command", metavar="command")
    commands.add_parser("run", help="run the worker until SIGTERM (the default)")
    add_schema_commands(commands)
    arguments = parser.parse_args()

    telemetry.configure(
        load_settings(ProcessSettings),
        service,
        environment=os.environ,
        workflow_log_fields=workflow_log_fields,
    )
    warn_of_unknown_variables(os.environ)
    try:
        if not handle_schema_command(arguments, package):
            asyncio.run(_run_worker(run_worker))
    finally:
        telemetry.shut_down()


def add_schema_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the commands that migrate, check and revise the schema of a service."""
    commands.add_parser("migrate", help="upgrade the schema to its newest revision")
    commands.add_parser("check", help="fail when the tables in the code differ from the schema")
    revision = commands.add_parser("revision", help="write a revision from the tables in the code")
    revision.add_argument("-m", "--message", required=True, help="what the revision changes")


def handle_schema_command(arguments: argparse.Namespace, package: str) -> bool:
    """Run a command that `add_schema_commands` added; return False when it is another command."""
    if arguments.command not in {"migrate", "check", "revision"}:
        return False
    from fuze_runtime import migrations  # noqa: PLC0415 - no other command needs Alembic

    settings = load_settings(MigrationSettings)
    try:
        match arguments.command:
            case "migrate":
                migrations.upgrade(settings, package)
            case "check":
                migrations.check(settings, package)
            case "revision":
                migrations.create_revision(settings, package, arguments.message)
    except migrations.MigrationError as error:
        raise SystemExit(str(error)) from None
    return True


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
    except Exception:  # noqa: BLE001 - logged here, where nothing else would catch it
        structlog.get_logger(__name__).exception("worker failed")
        raise SystemExit(1) from None
