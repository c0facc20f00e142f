"""Diagnostics of orders that do not complete: histories, stack traces, database activity."""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from fuze_chaos.snapshots.postgres import CONNECTION_ERRORS, connect, list_service_connections

Handle: TypeAlias = WorkflowHandle[Any, Any]

_MAX_ORDERS = 20
_HISTORY_PREFIX = "EVENT_TYPE_"


async def dump(
    folder: Path, orders: frozenset[str], *, dsn: str, temporal: Client
) -> tuple[str, ...]:
    """Write the histories and stack traces of late orders, and PostgreSQL's activity.

    Returns the files. Of many orders, the first 20 are enough to find the cause.
    """
    files = [folder / "postgres.json"]
    with suppress(*CONNECTION_ERRORS):
        async with connect(dsn) as connection:
            rows = await list_service_connections(connection)
        files[0].write_text(json.dumps(rows, indent=2, default=str))
    for order_id in sorted(orders)[:_MAX_ORDERS]:
        for kind in ("order", "shipping"):
            file = folder / f"{kind}-{order_id}.txt"
            handle = temporal.get_workflow_handle(f"{kind}/{order_id}")
            with suppress(RPCError):
                file.write_text("\n".join(await _describe(handle)) + "\n")
                files.append(file)
    return tuple(str(file) for file in files)


async def read_history(temporal: Client, workflow_id: str) -> tuple[str, ...]:
    """Return a workflow's history, one line per event."""
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
        lines.append(f"no stack trace: {error.message}")
    return [*lines, "", "history:", *[line async for line in _lines(handle)]]


async def _lines(handle: Handle) -> AsyncIterator[str]:
    async for event in handle.fetch_history_events():
        name = EventType.Name(event.event_type).removeprefix(_HISTORY_PREFIX).lower()
        at = event.event_time.ToDatetime()
        yield f"{event.event_id:>4} {at:%H:%M:%S.%f} {name}{_details(event)}"


def _details(event: HistoryEvent) -> str:
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
