"""Orders that do not end: everything that tells why, written down while it can be seen."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from fuze_chaos.books import backends
from fuze_chaos.database import connected
from fuze_chaos.life import ENDS

Handle: TypeAlias = WorkflowHandle[Any, Any]

_MOST_DUMPED = 20
_COMES_AND_GOES = "reconcile-payments"
_HISTORY_PREFIX = "EVENT_TYPE_"


async def unfinished(dsn: str, promised: set[str]) -> set[str]:
    """Return which of the promised orders have not come to their end in PostgreSQL."""
    async with connected(dsn) as connection:
        rows = await connection.fetch(
            "SELECT order_id::text FROM orders.published_orders"
            " WHERE payment_status <> 'refunding' AND status = ANY($1)"
            # One that follows its parcel is not at its end when it is shipped.
            " AND (status <> 'shipped' OR coalesce(tracking_deadline, now()) <= now())",
            list(ENDS),
        )
    return promised - {row["order_id"] for row in rows}


async def open_workflows(temporal: Client) -> list[str]:
    """Return the workflows that are under way, but for the comparison that a schedule starts.

    One whose worker was killed goes on once its attempt has run out of time.
    """
    running = temporal.list_workflows("ExecutionStatus = 'Running'")
    return [one.id async for one in running if not one.id.startswith(_COMES_AND_GOES)]


def orders_of(workflows: Iterable[str]) -> set[str]:
    """Return the orders whose own workflow, or whose shipment's, is among these ids."""
    named = (one.partition("/") for one in workflows)
    return {order_id for kind, _, order_id in named if kind in {"order", "shipping"}}


async def dump(
    folder: Path, orders: frozenset[str], *, dsn: str, temporal: Client
) -> tuple[str, ...]:
    """Write down of each order its workflows' histories and stacks, and what PostgreSQL is doing.

    Returns the files. Of many orders the first ones tell enough.
    """
    written = [folder / "postgres.json"]
    with suppress(asyncpg.PostgresError, OSError):
        async with connected(dsn) as connection:
            written[0].write_text(json.dumps(await backends(connection), indent=2, default=str))
    for order_id in sorted(orders)[:_MOST_DUMPED]:
        for kind in ("order", "shipping"):
            file = folder / f"{kind}-{order_id}.txt"
            handle = temporal.get_workflow_handle(f"{kind}/{order_id}")
            with suppress(RPCError):
                file.write_text("\n".join(await _describe(handle)) + "\n")
                written.append(file)
    return tuple(str(file) for file in written)


async def history_of(temporal: Client, workflow_id: str) -> tuple[str, ...]:
    """Return a workflow's history, a line an event."""
    with suppress(RPCError):
        return tuple([line async for line in _lines(temporal.get_workflow_handle(workflow_id))])
    return ()


async def _describe(handle: Handle) -> list[str]:
    description = await handle.describe()
    raw = description.raw_description
    lines = [f"{handle.id}: {description.status.name if description.status else 'unknown'}"]
    lines += [
        f"pending activity {one.activity_type.name}, attempt {one.attempt}:"
        f" {one.last_failure.message or 'no failure yet'}"
        for one in raw.pending_activities
    ]
    if raw.HasField("pending_workflow_task"):
        lines.append(f"pending workflow task, attempt {raw.pending_workflow_task.attempt}")
    try:
        lines += ["", "stack:", await handle.query("__stack_trace", result_type=str)]
    except RPCError as error:
        lines.append(f"no stack: {error.message}")
    return [*lines, "", "history:", *[line async for line in _lines(handle)]]


async def _lines(handle: Handle) -> AsyncIterator[str]:
    async for event in handle.fetch_history_events():
        name = EventType.Name(event.event_type).removeprefix(_HISTORY_PREFIX).lower()
        at = event.event_time.ToDatetime()
        yield f"{event.event_id:>4} {at:%H:%M:%S.%f} {name}{_about(event)}"


def _about(event: HistoryEvent) -> str:
    match event.event_type:
        case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            return f" {event.activity_task_scheduled_event_attributes.activity_type.name}"
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            return f" {event.workflow_execution_signaled_event_attributes.signal_name}"
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
            request = event.workflow_execution_update_accepted_event_attributes.accepted_request
            return f" {request.input.name}"
        case EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            failed = event.workflow_task_failed_event_attributes
            return f" {failed.failure.message[:300]}"
        case _:
            return ""
