"""The command line of a service: `python -m fuze_order [migrate|check|revision]`."""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from fuze_runtime import migrations, telemetry
from fuze_runtime.settings import MigrationSettings, ProcessSettings

Settings = TypeVar("Settings", bound=BaseSettings)


def main(
    service: str,
    work: Callable[[], Awaitable[None]],
    *,
    workflow_log_fields: telemetry.WorkflowLogFields,
) -> None:
    """Run a service's worker, or migrate its schema, as the command line says."""
    package = f"fuze_{service}"
    parser = argparse.ArgumentParser(
        prog=f"python -m {package}",
        description=f"The {service} service, set by FUZE_* and TEMPORAL_* variables.",
    )
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("work", help="run the worker until SIGTERM (the default)")
    add_schema_commands(commands)
    arguments = parser.parse_args()

    telemetry.configure(
        load_settings(ProcessSettings),
        service,
        environment=os.environ,
        workflow_log_fields=workflow_log_fields,
    )
    try:
        if not handle_schema_command(arguments, package):
            asyncio.run(_run_worker(work))
    finally:
        telemetry.shut_down()


def add_schema_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Let a command line migrate, check and revise the schema of its service."""
    commands.add_parser("migrate", help="bring the schema to its newest revision")
    commands.add_parser("check", help="fail if the tables in the code lack a revision")
    revision = commands.add_parser("revision", help="write a revision from the tables in the code")
    revision.add_argument("-m", "--message", required=True)


def handle_schema_command(arguments: argparse.Namespace, package: str) -> bool:
    """Run what `add_schema_commands` added; False where another command was given."""
    match arguments.command:
        case "migrate":
            migrations.upgrade(load_settings(MigrationSettings), package)
        case "check":
            migrations.check(load_settings(MigrationSettings), package)
        case "revision":
            migrations.create_revision(load_settings(MigrationSettings), package, arguments.message)
        case _:
            return False
    return True


def load_settings(kind: type[Settings]) -> Settings:
    """Read settings from the environment, or end the process saying which are wrong."""
    try:
        return kind()
    except ValidationError as error:
        wrong = "\n".join(
            f"  FUZE_{'.'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SystemExit(f"these settings are missing or wrong:\n{wrong}") from None


async def _run_worker(work: Callable[[], Awaitable[None]]) -> None:
    try:
        await work()
    except Exception:  # noqa: BLE001 - the last one to hear of it, and it is logged
        structlog.get_logger(__name__).exception("the process cannot go on")
        raise SystemExit(1) from None
