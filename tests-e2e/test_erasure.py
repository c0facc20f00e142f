"""A customer's personal data, before and after its erasure."""

import asyncio
import contextlib
import os
import subprocess
import sys
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from stack_client import StackClient, eventually
from temporalio.client import Client
from temporalio.service import RPCError

from fuze_testing.webhook_receiver import (
    ReceivedWebhook,
    build_response,
    serve_webhook_receiver,
)

_CANARY = "Kanarienvogel"
_CUSTOMER = f"{_CANARY}@example.com"
_PERSON = {
    "customer": _CUSTOMER,
    "customer_email": f"mail-{_CUSTOMER}",
    "customer_name": f"Ada {_CANARY}",
    "metadata": {"note": f"for {_CANARY}"},
    "address": {
        "country": "US",
        "name": f"Ada {_CANARY}",
        "line1": f"1 {_CANARY} Street",
        "city": "San Francisco",
        "region": "CA",
        "postal_code": "94105",
        "email": _CUSTOMER,
    },
}
_COLUMNS = """
    SELECT format('%I.%I', table_schema, table_name) AS name, column_name
    FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'
"""


def _erase(stack: StackClient) -> subprocess.CompletedProcess[str]:
    address = stack.connection_info["temporal"]["address"]
    return subprocess.run(
        [sys.executable, "-m", "fuze_order", "erase", "--customer", _CUSTOMER],
        env=os.environ | {"TEMPORAL_ADDRESS": address},
        capture_output=True,
        text=True,
        check=False,
    )


async def _find_in_postgres(stack: StackClient) -> set[str]:
    """Return the columns, of whatever type, that have the canary in some row."""
    connection = await asyncpg.connect(stack.connection_info["postgres"]["dsn"])
    try:
        return {
            f"{column['name']}.{column['column_name']}"
            for column in await connection.fetch(_COLUMNS)
            if await connection.fetchval(
                f"SELECT true FROM {column['name']}"  # noqa: S608 - names from the catalog
                f' WHERE "{column["column_name"]}"::text LIKE $1 LIMIT 1',
                f"%{_CANARY}%",
            )
        }
    finally:
        await connection.close()


async def _find_in_temporal(temporal: Client) -> set[str]:
    """Return the workflows whose history has the canary."""
    found = set()
    async for one in temporal.list_workflows():
        workflow = temporal.get_workflow_handle(one.id, run_id=one.run_id)
        with contextlib.suppress(RPCError):  # deleted since it was listed
            events = (await workflow.fetch_history()).events
            if any(_CANARY.encode() in event.SerializeToString() for event in events):
                found.add(one.id)
    return found


async def _repeat_the_event(request: ReceivedWebhook) -> bytes:
    return build_response(400, request.body.decode())


async def test_an_erased_customer_is_in_no_table(stack: StackClient) -> None:
    async with serve_webhook_receiver(_repeat_the_event) as receiver:
        created = stack.post("/webhook-endpoints", {"url": receiver.get_url()}).json()
        before, shipped = await asyncio.to_thread(_place_and_refund, stack)
        response = "webhooks.deliveries.response_body"
        while response not in (found := await _find_in_postgres(stack)):
            await asyncio.sleep(0.1)
    assert found >= {
        *(f"orders.orders.{name}" for name in ("customer", "customer_email", "address")),
        *("orders.events.actor", "orders.events.details", "payments.refunds.reason"),
    }

    erased = _erase(stack)

    stack.delete(f"/webhook-endpoints/{created['endpoint_id']}")
    assert erased.stdout == "erased 2 orders\n", erased.stderr
    assert await _find_in_postgres(stack) == set()
    after = stack.get(f"/orders/{shipped}/events").json()["events"]
    kept = ("seq", "type", "status", "payment_status", "occurred_at")
    assert [[one[name] for name in kept] for one in after] == [
        [one[name] for name in kept] for one in before
    ]
    assert after[0]["actor"].startswith("erased-")
    assert after[0]["details"]["total_minor"] == before[0]["details"]["total_minor"]
    assert stack.get_order(shipped)["address"]["country"] == "US"
    assert _erase(stack).stdout == "erased 0 orders\n"


def _place_and_refund(stack: StackClient) -> tuple[list[dict[str, Any]], str]:
    """Return an order that is shipped and refunded, with its events; another is cancelled."""
    shipped = stack.start_approved_order(**_PERSON)
    stack.wait_for_status(shipped, "shipped")
    refund = {"amount_minor": 500, "reason": f"{_CANARY} called", "actor": _CUSTOMER}
    stack.http.post(
        f"{stack.connection_info['gateway']['url']}/orders/{shipped}/refunds",
        json=refund,
        headers={"Idempotency-Key": str(uuid4())},
    ).raise_for_status()
    eventually(lambda: "payment_refunded" in stack.get_event_types(shipped), "it is refunded")
    still_open = stack.start_order(**_PERSON)
    stack.wait_for_status(still_open, "awaiting_approval")

    refused = _erase(stack)
    assert refused.returncode == 1
    assert f"1 open orders, such as {still_open}" in refused.stderr
    cancellation = {"actor": _CUSTOMER, "reason": f"{_CANARY} moved"}
    stack.post(f"/orders/{still_open}/cancel", cancellation).raise_for_status()
    events: list[dict[str, Any]] = stack.get(f"/orders/{shipped}/events").json()["events"]
    return events, shipped


@pytest.mark.proof
@pytest.mark.timeout(900)  # Temporal deletes some minutes later
async def test_an_erased_customer_is_in_no_history(stack: StackClient, temporal: Client) -> None:
    shipped = stack.start_approved_order(**_PERSON)
    stack.wait_for_status(shipped, "shipped")
    assert f"order/{shipped}" in await _find_in_temporal(temporal)

    assert _erase(stack).returncode == 0

    async with asyncio.timeout(600):
        while await _find_in_temporal(temporal):
            await asyncio.sleep(2)
