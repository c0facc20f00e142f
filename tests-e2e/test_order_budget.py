"""What a shipped order costs, in counts that are the same on every machine."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from google.protobuf.message import Message
from stack_client import StackClient, eventually
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from fuze_contracts.workflow_ids import order_workflow_id, shipping_workflow_id

_MAX_EVENTS = 42
_MAX_WORKFLOW_TASKS = 7
_MAX_PAYLOAD_BYTES = 7_000
_MAX_TRANSACTIONS = 10
"""Eight that write, and the gateway's two reads: whether the order exists, and awaits approval."""
_MAX_HTTP_REQUESTS = {"psp": 1, "carrier": 1}

_STATEMENT = re.compile(r"^fuze-(\w+) (\d+/\d+)\|", re.MULTILINE)


@pytest.fixture
async def read_statements(stack: StackClient) -> AsyncIterator[Callable[[], str]]:
    """Let PostgreSQL log every statement, with its service and its transaction."""
    connection = await asyncpg.connect(stack.connection_info["postgres"]["dsn"])
    async with (
        _setting(connection, "log_statement", "all"),
        _setting(connection, "log_line_prefix", "%a %v|"),
    ):
        yield Path(stack.connection_info["postgres"]["log"]).read_text
    await connection.close()


@asynccontextmanager
async def _setting(connection: asyncpg.Connection, name: str, value: str) -> AsyncIterator[None]:
    await connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    await connection.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        await connection.execute(f"ALTER SYSTEM RESET {name}")
        await connection.execute("SELECT pg_reload_conf()")


async def test_a_shipped_order_stays_within_its_budget(
    stack: StackClient, temporal: Client, read_statements: Callable[[], str]
) -> None:
    # On a busy machine a step may time out and be repeated: the cheapest of three orders counts.
    costs = [await _measure(stack, temporal, read_statements) for _ in range(3)]
    cost = min(costs, key=lambda one: (one["transactions"].total(), one["events"]))

    assert cost["events"] <= _MAX_EVENTS, costs
    assert cost["workflow tasks"] <= _MAX_WORKFLOW_TASKS, costs
    assert cost["payload bytes"] <= _MAX_PAYLOAD_BYTES, costs
    assert cost["transactions"].total() <= _MAX_TRANSACTIONS, costs
    assert cost["http"] == _MAX_HTTP_REQUESTS, costs


async def _measure(
    stack: StackClient, temporal: Client, read_statements: Callable[[], str]
) -> dict[str, Any]:
    """Return what one order costs from its start to its shipment."""
    requests = _count_http_requests(stack)
    order_id = stack.start_order()
    order = temporal.get_workflow_handle(order_workflow_id(order_id))
    # Read from the log: a live query adds events, a read of the row a transaction.
    eventually(lambda: _is_validated(read_statements(), order_id), "the order is validated")
    stack.approve(order_id)
    await order.result()

    shipment = temporal.get_workflow_handle(shipping_workflow_id(order_id))
    events = [event for one in (order, shipment) for event in (await one.fetch_history()).events]
    tasks = [
        one for one in events if one.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]
    ids = {order_id, *await _list_ids(stack, order_id)}
    return {
        "events": len(events),
        "workflow tasks": len(tasks),
        "payload bytes": sum(map(_count_payload_bytes, events)),
        "transactions": _count_transactions(read_statements(), ids),
        "http": _count_http_requests(stack) - requests,
    }


def _is_validated(log: str, order_id: str) -> bool:
    """Return whether the order's own event is written: orders of other tests may be in the log."""
    return any(order_id in line and "'order_validated'" in line for line in log.splitlines())


def _count_http_requests(stack: StackClient) -> Counter[str]:
    parts = ("psp", "carrier")
    return Counter({part: stack.get_sandbox(f"/control/{part}")["requests"] for part in parts})


async def _list_ids(stack: StackClient, order_id: str) -> list[str]:
    """Return the ids of the order's payment and shipment, by which their services know them."""
    query = (
        "SELECT id::text FROM payments.payments WHERE order_id = $1::text::uuid"
        " UNION SELECT id::text FROM shipping.shipments WHERE order_id = $1::text::uuid"
    )
    connection = await asyncpg.connect(stack.connection_info["postgres"]["dsn"])
    rows = await connection.fetch(query, order_id)
    await connection.close()
    return [row["id"] for row in rows]


def _count_transactions(log: str, ids: set[str]) -> Counter[str]:
    """Count the transactions of each service with a statement about the order."""
    _, *parts = _STATEMENT.split(log)
    found = {
        (service, transaction)
        for service, transaction, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
        if any(one in text for one in ids)
    }
    return Counter(service for service, _ in found)


def _count_payload_bytes(message: Message) -> int:
    if isinstance(message, Payload):
        return len(message.data)
    return sum(map(_count_payload_bytes, _list_parts(message)))


def _list_parts(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        values: Any = value if field.is_repeated else [value]
        if field.message_type.GetOptions().map_entry:
            values = value.values()
        yield from (one for one in values if isinstance(one, Message))
