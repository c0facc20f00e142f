"""Reads every system of record into one snapshot: PostgreSQL, Temporal, providers, client log."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistoryEventFilterType

from fuze_chaos.snapshots import order_sql, payment_sql, shipping_sql, webhooks_sql
from fuze_chaos.snapshots.postgres import connect, list_service_connections
from fuze_chaos.snapshots.records import (
    CARRIER,
    CLIENT,
    ENDPOINTS,
    OPERATOR,
    POSTGRES,
    PROVIDER,
    TEMPORAL,
    OperatorAction,
    OrderRecords,
    RequestRecord,
    Row,
    Snapshot,
    WorkflowRecord,
)
from fuze_chaos.workload.request_log import read_log
from fuze_devstack import http_client

ENDPOINT_WORKFLOWS = "webhook-endpoint/"
"""How the ids of workflows begin that never end."""

_CONCURRENT_HISTORIES = 24
_PAGE_SIZE = 1000
_QUERIES = order_sql.QUERIES | payment_sql.QUERIES | shipping_sql.QUERIES | webhooks_sql.QUERIES
_PER_ORDER = ("events", "returns", "payments", "refunds", "ledger", "shipments", "deliveries")


async def collect(  # noqa: PLR0913 - one for each system of record
    *,
    dsn: str,
    sandbox: str,
    temporal: Client,
    request_log: Path,
    operator_log: Path,
    webhook_records: Sequence[Path],
) -> Snapshot:
    """Read every system of record; one that fails is named in `unreadable`, the others count."""
    unreadable: dict[str, str] = {}

    async def read(system: str, reading: Awaitable[Any]) -> Any:  # noqa: ANN401 - its records
        try:
            return await reading
        except Exception as error:  # noqa: BLE001 - any failure leaves this system unknown
            unreadable[system] = repr(error)
            return {}

    tables = await read(POSTGRES, _read_postgres(dsn))
    provider = await read(PROVIDER, _read_provider(sandbox))
    parcels = await read(CARRIER, _read_sandbox(sandbox, "/carrier/parcels", "parcels"))
    workflows = await read(TEMPORAL, _read_workflows(temporal))
    requests = list(await read(CLIENT, asyncio.to_thread(_read_requests, request_log)))
    actions = list(await read(OPERATOR, asyncio.to_thread(_read_actions, operator_log)))
    webhooks = await read(ENDPOINTS, asyncio.to_thread(_read_webhooks, webhook_records))
    rows = {
        **{field: tables.get(field, []) for field in _PER_ORDER},
        "discrepancies": tables.get("order_discrepancies", []),
        "provider_charges": provider.get("charges", []),
        "provider_refunds": provider.get("refunds", []),
        "parcels": list(parcels),
        "webhooks": list(webhooks),
    }
    return Snapshot(
        orders=_group_by_order(tables.get("orders", []), rows, workflows, requests, actions),
        requests=[request for _, request in requests],
        discrepancies=tables.get("discrepancies", []),
        open_workflows=[
            name
            for name, one in workflows.items()
            if one.status == "RUNNING" and not name.startswith(ENDPOINT_WORKFLOWS)
        ],
        connections=tables.get("connections", []),
        unreadable=unreadable,
    )


def _group_by_order(
    orders: list[Row],
    rows: dict[str, list[Row]],
    workflows: dict[str, WorkflowRecord],
    requests: list[tuple[str, RequestRecord]],
    actions: list[tuple[str, OperatorAction]],
) -> dict[str, OrderRecords]:
    """Return the records of each order; `rows` has its other rows by field of `OrderRecords`."""
    grouped: dict[str, OrderRecords] = {}

    def records_of(order_id: object) -> OrderRecords:
        return grouped.setdefault(str(order_id), OrderRecords(str(order_id)))

    for row in orders:
        records_of(row["order_id"]).row = row
    for field, entries in rows.items():
        for entry in entries:
            getattr(records_of(entry["order_id"]), field).append(entry)
    for workflow_id, workflow in workflows.items():
        kind, _, order_id = workflow_id.partition("/")
        if kind == "order":
            records_of(order_id).workflow = workflow
    for order_id, webhook in _carrier_webhooks(workflows, rows.get("parcels", [])):
        records_of(order_id).carrier_webhooks.append(webhook)
    for order_id, request in requests:
        records_of(order_id).requests.append(request)
    for order_id, action in actions:
        records_of(order_id).operator_actions.append(action)
    return grouped


def _carrier_webhooks(
    workflows: dict[str, WorkflowRecord], parcels: list[Row]
) -> Iterator[tuple[str, WorkflowRecord]]:
    """Yield the workflow of each webhook of the carrier with the order that it is about."""
    order_ids = {one["shipment_id"]: one["order_id"] for one in parcels if "shipment_id" in one}
    for workflow in workflows.values():
        if workflow.shipment_id in order_ids:
            yield order_ids[workflow.shipment_id], workflow


async def _read_postgres(dsn: str) -> dict[str, list[Row]]:
    async with connect(dsn) as connection:
        # One transaction: every table is read as of the same moment.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            tables = {
                name: [dict(row) for row in await connection.fetch(query)]
                for name, query in _QUERIES.items()
            }
        tables["connections"] = await list_service_connections(connection)
        return tables


async def _read_provider(sandbox: str) -> dict[str, list[Row]]:
    return {
        "charges": await _read_sandbox(sandbox, "/psp/charges", "charges"),
        "refunds": await _read_sandbox(sandbox, "/psp/refunds", "refunds"),
    }


async def _read_sandbox(sandbox: str, path: str, name: str) -> list[Row]:
    async with http_client.create_client(timeout=60) as client:
        response = await client.get(f"{sandbox}{path}")
        response.raise_for_status()
    rows: list[Row] = response.json()[name]
    return rows


async def _read_workflows(temporal: Client) -> dict[str, WorkflowRecord]:
    runs = [one async for one in temporal.list_workflows(page_size=_PAGE_SIZE)]
    # A workflow that was reset or started again has several runs; the latest one counts.
    workflows = {
        one.id: WorkflowRecord(
            one.status.name if one.status else "UNKNOWN",
            started_at=one.start_time,
            closed_at=one.close_time,
        )
        for one in sorted(runs, key=lambda one: one.start_time)
    }
    slots = asyncio.Semaphore(_CONCURRENT_HISTORIES)

    async def read(workflow_id: str, workflow: WorkflowRecord) -> None:
        async with slots:
            if workflow_id.startswith("carrier-webhook/"):
                await _read_shipment(temporal, workflow_id, workflow)
            elif workflow_id.startswith("order/") and workflow.status != running:
                await _read_result(temporal, workflow_id, workflow)

    running = WorkflowExecutionStatus.RUNNING.name
    await asyncio.gather(*(read(*one) for one in workflows.items()))
    return workflows


async def _read_shipment(temporal: Client, workflow_id: str, workflow: WorkflowRecord) -> None:
    """Read the shipment that a carrier's webhook is about, from the input of its workflow."""
    handle = temporal.get_workflow_handle(workflow_id)
    async for event in handle.fetch_history_events(page_size=1):
        payloads = event.workflow_execution_started_event_attributes.input.payloads
        (command,) = await temporal.data_converter.decode(payloads, [dict])
        workflow.shipment_id = command["shipment_id"]
        return


async def _read_result(temporal: Client, workflow_id: str, workflow: WorkflowRecord) -> None:
    handle = temporal.get_workflow_handle(workflow_id)
    async for event in handle.fetch_history_events(
        event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT
    ):
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
                payloads = event.workflow_execution_completed_event_attributes.result.payloads
                (workflow.result,) = await temporal.data_converter.decode(payloads, [dict])
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
                failure = event.workflow_execution_failed_event_attributes.failure
                workflow.failure = failure.application_failure_info.type or failure.message


def _read_webhooks(records: Sequence[Path]) -> list[Row]:
    """Return what the endpoints have recorded, each in the order in which it has responded."""
    return [line for path in records for line in read_log(path)]


def _read_requests(request_log: Path) -> list[tuple[str, RequestRecord]]:
    """Return every request with its order id, in the order in which they were sent."""
    requests: dict[int, tuple[str, RequestRecord]] = {}
    for line in read_log(request_log):
        if "request" in line:
            record = RequestRecord(
                line["operation"], line["at"], line["identity"], line["is_key_reuse"]
            )
            requests[line["request"]] = (line["order_id"], record)
            continue
        _, record = requests[line["response_to"]]
        record.responded_at = line["at"]
        record.status = line.get("status")
        record.retry_after = line.get("retry_after")
        record.body = line.get("body")
    # An order placed without an id gets one in the response.
    assigned: dict[str, str] = {}
    for order_id, record in requests.values():
        if record.operation == "place" and record.is_accepted and not record.is_key_reuse:
            assigned[order_id] = record.body["order_id"]
    return [(assigned.get(order_id, order_id), record) for order_id, record in requests.values()]


def _read_actions(operator_log: Path) -> list[tuple[str, OperatorAction]]:
    """Return every action of an operator with its order id, in the order in which they were sent.

    Actions on a shipment belong to its order.
    """
    actions: dict[int, tuple[str, OperatorAction]] = {}
    for line in read_log(operator_log):
        if "action" in line:
            workflow, _, order_id = line["workflow_id"].partition("/")
            action = OperatorAction(
                line["fault"],
                line["at"],
                line["kind"],
                workflow,
                line["details"],
                line["excludes_messages"],
            )
            actions[line["action"]] = (order_id, action)
            continue
        _, action = actions[line["accepted"]]
        action.is_accepted, action.status = True, line["status"]
    return list(actions.values())
