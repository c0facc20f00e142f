"""Every account of the same orders: the client's, PostgreSQL's, Temporal's, the two outsiders'."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistoryEventFilterType

from fuze_chaos import journal
from fuze_chaos.database import connected
from fuze_devstack import http_client

Row = dict[str, Any]

_AT_ONCE = 24
_QUERIES = {
    "orders": "SELECT * FROM orders.published_orders",
    "events": "SELECT * FROM orders.published_events ORDER BY order_id, seq",
    "payments": "SELECT * FROM payments.payments",
    "refunds": "SELECT r.*, p.order_id FROM payments.refunds r"
    " JOIN payments.payments p ON p.id = r.payment_id",
    "ledger": "SELECT l.*, p.order_id FROM payments.ledger_entries l"
    " JOIN payments.payments p ON p.id = l.payment_id",
    "shipments": "SELECT * FROM shipping.shipments",
    "discrepancies": "SELECT * FROM payments.published_discrepancies",
}


@dataclass
class Workflow:
    """How Temporal says that a workflow stands; `result` and `failure` once it has closed."""

    status: str
    result: Row | None = None
    failure: str | None = None


@dataclass
class Ask:
    """One request of the client's, and its answer, if there was one."""

    what: str
    at: float
    identity: str | None
    misuse: bool
    answered_at: float | None = None
    status: int | None = None
    retry_after: str | None = None
    body: Any = None

    @property
    def is_accepted(self) -> bool:
        """Whether the answer was a yes."""
        return self.status is not None and self.status < 300  # noqa: PLR2004 - 2xx


@dataclass
class Account:
    """Everything that anybody says of one order."""

    order_id: str
    row: Row | None = None
    events: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    refunds: list[Row] = field(default_factory=list)
    ledger: list[Row] = field(default_factory=list)
    shipments: list[Row] = field(default_factory=list)
    charges: list[Row] = field(default_factory=list)
    given_back: list[Row] = field(default_factory=list)
    parcels: list[Row] = field(default_factory=list)
    workflow: Workflow | None = None
    asks: list[Ask] = field(default_factory=list)

    @property
    def is_promised(self) -> bool:
        """Whether the client was told that the order will be worked on."""
        return any(ask.what == "place" and ask.is_accepted and not ask.misuse for ask in self.asks)

    @property
    def status(self) -> str | None:
        """Where the row says that it is."""
        return self.row["status"] if self.row else None

    def taken(self) -> int:
        """Return what the provider has taken and not given back, in minor units."""
        charged: int = sum(
            one["amount_minor"] for one in self.charges if one["status"] == "charged"
        )
        given_back: int = sum(one["amount_minor"] for one in self.given_back)
        return charged - given_back


@dataclass
class Books:
    """All accounts, by order; `unread` names the books that could not be read to their end."""

    accounts: dict[str, Account]
    asks: list[Ask]
    discrepancies: list[Row]
    open_workflows: list[str]
    backends: list[Row]
    unread: dict[str, str] = field(default_factory=dict)


class _Reader:
    """Reads one book after another; one that cannot be read is named, and the others count."""

    def __init__(self) -> None:
        self.unread: dict[str, str] = {}
        self.accounts: dict[str, Account] = {}

    async def book(self, name: str, reading: Awaitable[Any]) -> Any:  # noqa: ANN401 - its rows
        """Return a book, or nothing."""
        try:
            return await reading
        except Exception as error:  # noqa: BLE001 - whatever it is, this book is unknown
            self.unread[name] = repr(error)
            return {}

    def account(self, order_id: object) -> Account:
        """Return an order's account, new if need be."""
        return self.accounts.setdefault(str(order_id), Account(str(order_id)))

    def enter(self, page: str, rows: list[Row]) -> None:
        """Put rows where they belong."""
        for row in rows:
            getattr(self.account(row["order_id"]), page).append(row)


async def read(*, dsn: str, sandbox: str, temporal: Client, client_log: Path) -> Books:
    """Read every book."""
    reader = _Reader()
    tables = await reader.book("PostgreSQL", _tables(dsn))
    psp = await reader.book("the provider", _psp(sandbox))
    parcels = await reader.book("the carrier", _entries(sandbox, "/carrier/parcels", "parcels"))
    workflows = await reader.book("Temporal", _workflows(temporal))
    asks = list(await reader.book("the client", asyncio.to_thread(_asks, client_log)))

    for row in tables.get("orders", ()):
        reader.account(row["order_id"]).row = row
    for page in ("events", "payments", "refunds", "ledger", "shipments"):
        reader.enter(page, tables.get(page, []))
    reader.enter("charges", psp.get("charges", []))
    reader.enter("given_back", psp.get("refunds", []))
    reader.enter("parcels", list(parcels))
    for workflow_id, workflow in workflows.items():
        kind, _, order_id = workflow_id.partition("/")
        if kind == "order":
            reader.account(order_id).workflow = workflow
    for order_id, ask in asks:
        reader.account(order_id).asks.append(ask)
    return Books(
        accounts=reader.accounts,
        asks=[ask for _, ask in asks],
        discrepancies=tables.get("discrepancies", []),
        open_workflows=[name for name, one in workflows.items() if one.status == "RUNNING"],
        backends=tables.get("backends", []),
        unread=reader.unread,
    )


async def is_reconciled(dsn: str) -> bool:
    """Whether every payment and refund is settled, and nothing is left that differs."""
    async with connected(dsn) as connection:
        left: int = await connection.fetchval(
            "SELECT (SELECT count(*) FROM payments.payments"
            " WHERE state NOT IN ('charged', 'declined', 'voided'))"
            " + (SELECT count(*) FROM payments.refunds WHERE state NOT IN ('refunded', 'rejected'))"
            " + (SELECT count(*) FROM payments.published_discrepancies)"
        )
    return bool(left == 0)


async def _tables(dsn: str) -> dict[str, list[Row]]:
    async with connected(dsn) as connection:
        # One snapshot, so that no book is read later than another.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            tables = {
                name: [dict(row) for row in await connection.fetch(query)]
                for name, query in _QUERIES.items()
            }
        tables["backends"] = await backends(connection)
        return tables


async def backends(connection: asyncpg.Connection) -> list[Row]:
    """Return what each of the services' connections is doing."""
    rows = await connection.fetch(
        "SELECT application_name, state, wait_event_type, query,"
        " extract(epoch FROM clock_timestamp() - state_change)::float AS since_seconds"
        " FROM pg_stat_activity WHERE usename LIKE 'fuze\\_%' ORDER BY application_name"
    )
    return [dict(row) for row in rows]


async def _psp(sandbox: str) -> dict[str, list[Row]]:
    return {
        "charges": await _entries(sandbox, "/psp/charges", "charges"),
        "refunds": await _entries(sandbox, "/psp/refunds", "refunds"),
    }


async def _entries(sandbox: str, path: str, name: str) -> list[Row]:
    async with http_client.create_client(timeout=60) as client:
        answer = await client.get(f"{sandbox}{path}")
        answer.raise_for_status()
    rows: list[Row] = answer.json()[name]
    return rows


async def _workflows(temporal: Client) -> dict[str, Workflow]:
    listed = {
        one.id: Workflow(one.status.name if one.status else "UNKNOWN")
        async for one in temporal.list_workflows(page_size=1000)
    }
    places = asyncio.Semaphore(_AT_ONCE)

    async def close(workflow_id: str, workflow: Workflow) -> None:
        async with places:
            await _read_close(temporal, workflow_id, workflow)

    closed = WorkflowExecutionStatus.RUNNING.name
    await asyncio.gather(
        *(
            close(workflow_id, workflow)
            for workflow_id, workflow in listed.items()
            if workflow_id.startswith("order/") and workflow.status != closed
        )
    )
    return listed


async def _read_close(temporal: Client, workflow_id: str, workflow: Workflow) -> None:
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


def _asks(client_log: Path) -> list[tuple[str, Ask]]:
    """Return every request with the order that it was about, in the order of asking."""
    asked: dict[int, tuple[str, Ask]] = {}
    for line in journal.read(client_log):
        if "ask" in line:
            ask = Ask(line["what"], line["at"], line["identity"], line["misuse"])
            asked[line["ask"]] = (line["order_id"], ask)
            continue
        _, ask = asked[line["answer_to"]]
        ask.answered_at = line["at"]
        ask.status = line.get("status")
        ask.retry_after = line.get("retry_after")
        ask.body = line.get("body")
    # Who places without an id learns it from the answer.
    names: dict[str, str] = defaultdict(str)
    for order_id, ask in asked.values():
        if ask.what == "place" and ask.is_accepted and not ask.misuse:
            names[order_id] = ask.body["order_id"]
    return [(names.get(order_id, order_id), ask) for order_id, ask in asked.values()]
