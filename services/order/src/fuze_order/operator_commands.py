"""Commands of the order service for operators: erase a customer, archive old orders."""

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_order.archive import ArchiveInUseError, OrderArchive
from fuze_order.erasure import delete_history
from fuze_order.erasure_workflow import EraseCustomerWorkflow
from fuze_order.messages import EraseCustomer
from fuze_runtime import cli, temporal
from fuze_runtime.database import build_connect, build_engine
from fuze_runtime.deployment import Refusal
from fuze_runtime.settings import TEMPORAL_REFUSAL, MigrationSettings, ProcessSettings


class _EraseSettings(ProcessSettings):
    """What the erasure needs: a connection to Temporal."""

    refusals: ClassVar[tuple[Refusal, ...]] = (TEMPORAL_REFUSAL,)


def _add_erase_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--customer", required=True, help="the customer's id in orders")
    parser.add_argument(
        "--name",
        action="append",
        default=[],
        help="another name of the customer as an actor or owner; may be repeated",
    )


async def _erase(arguments: argparse.Namespace) -> None:
    """Erase a customer, and wait until it is done.

    Raises:
        SystemExit: the erasure was refused; the message says why.

    """
    # The client must not be in the exception's traceback: the SDK crashes if it outlives the loop.
    outcome, is_refused = await _run_erasure(
        EraseCustomer(erasure_id=uuid4(), customer=arguments.customer, names=tuple(arguments.name))
    )
    if is_refused:
        raise SystemExit(outcome)
    sys.stdout.write(f"{outcome}\n")


async def _run_erasure(command: EraseCustomer) -> tuple[str, bool]:
    """Return what was erased, or why nothing was."""
    settings = cli.load_settings(_EraseSettings)
    client = await temporal.connect(
        compression=settings.temporal_compression, payload_keys=settings.payload_keys
    )
    erasure = await client.start_workflow(
        EraseCustomerWorkflow.run,
        command,
        id=f"erasure/{command.erasure_id}",  # ids are never encrypted: not the customer's
        task_queue=ORDER_TASK_QUEUE,
        static_summary="erase a customer",
    )
    is_refused = False
    try:
        outcome = f"erased {(await erasure.result()).orders} orders"
    except WorkflowFailureError as error:
        cause = getattr(error.cause, "cause", None) or error.cause
        outcome = cause.message if isinstance(cause, ApplicationError) else str(cause)
        is_refused = True
    await delete_history(client, erasure.id, None)  # it has the customer's names
    return outcome, is_refused


def _add_archive_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", required=True, type=Path, help="where the files are")
    parser.add_argument(
        "--days", required=True, type=int, help="how long an order has not changed, at least"
    )


async def _archive(arguments: argparse.Namespace) -> None:
    """Move old orders to files, as the role that owns the schema.

    Raises:
        SystemExit: an argument is not usable, or another archive runs.

    """
    if arguments.days < 1:
        raise SystemExit("--days must be at least 1; example: --days 400")
    if not arguments.folder.is_dir():
        raise SystemExit(f"--folder: {arguments.folder} is not a folder; create it first")
    settings = cli.load_settings(MigrationSettings)
    connect = build_connect(
        settings,
        settings.migration_database_url,
        "fuze-order-archive",
        connect_timeout=settings.migration_connect_timeout.total_seconds(),
        session={},
    )
    engine = build_engine(settings, connect)
    try:
        before = datetime.now(UTC) - timedelta(days=arguments.days)
        moved = await OrderArchive(engine, arguments.folder).archive(before)
    except ArchiveInUseError as error:
        raise SystemExit(f"{error}; wait until it has ended") from None
    finally:
        await engine.dispose()
    sys.stdout.write(f"archived {moved} orders\n")


OPERATOR_COMMANDS = (
    cli.Command(
        name="archive",
        help="move orders that ended long ago from PostgreSQL to files",
        add_arguments=_add_archive_arguments,
        run=_archive,
    ),
    cli.Command(
        name="erase",
        help="erase a customer's personal data in all services",
        add_arguments=_add_erase_arguments,
        run=_erase,
    ),
)
