"""Waits after the last fault until the system is quiescent: orders done, payments reconciled."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from temporalio.client import Client

from fuze_chaos.reference_model import TERMINAL_STATUSES
from fuze_chaos.snapshots import order_sql, payment_sql, webhooks_sql
from fuze_chaos.snapshots.collector import ENDPOINT_WORKFLOWS
from fuze_chaos.snapshots.postgres import connect
from fuze_chaos.workload.request_log import accepted_orders

_RECONCILIATIONS = ("reconcile-payments", "reconcile-orders")
_ENDLESS = (*_RECONCILIATIONS, ENDPOINT_WORKFLOWS)
_RECONCILIATION_TIMEOUT_SECONDS = 90.0
_RECONCILIATION_POLL_SECONDS = 5
_POLL_SECONDS = 0.5
_SETTLE_SECONDS = 2.0


async def wait_for_orders(
    *, dsn: str, temporal: Client, request_log: Path, seconds: float
) -> frozenset[str]:
    """Wait until every accepted order and workflow has ended; return those that are late."""
    deadline = time.monotonic() + seconds
    accepted = await asyncio.to_thread(accepted_orders, request_log)
    while True:
        unfinished = accepted - await _finished_orders(dsn)
        running = await _running_workflows(temporal)
        if not unfinished and not running:
            return frozenset()
        if time.monotonic() > deadline:
            return frozenset(unfinished).union(orders_of(running))
        await asyncio.sleep(_POLL_SECONDS)


async def reconcile(dsn: str, temporal: Client) -> None:
    """Run both reconciliations until payments and provider agree, or for 90 s; then pause them."""
    schedules = [temporal.get_schedule_handle(name) for name in _RECONCILIATIONS]
    deadline = time.monotonic() + _RECONCILIATION_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        for schedule in schedules:
            await schedule.trigger()
        await asyncio.sleep(_RECONCILIATION_POLL_SECONDS)
        async with connect(dsn) as connection:
            if await connection.fetchval(payment_sql.UNRESOLVED) == 0:
                break
    for schedule in schedules:
        # A reconciliation that starts during the snapshot would look like a stuck workflow.
        await schedule.pause(note="fuze chaos takes its snapshot")
        while (await schedule.describe()).info.running_actions and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
    await asyncio.sleep(_SETTLE_SECONDS)


async def wait_for_webhooks(dsn: str, seconds: float) -> None:
    """Wait until each event is delivered to each endpoint that is enabled, at most so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        async with connect(dsn) as connection:
            if await connection.fetchval(webhooks_sql.UNDELIVERED) == 0:
                return
        await asyncio.sleep(_POLL_SECONDS)


def orders_of(workflow_ids: Iterable[str]) -> set[str]:
    """Return the orders whose order workflow or shipment workflow is among these ids."""
    parts = (one.partition("/") for one in workflow_ids)
    return {order_id for kind, _, order_id in parts if kind in {"order", "shipping"}}


async def _finished_orders(dsn: str) -> set[str]:
    async with connect(dsn) as connection:
        rows = await connection.fetch(order_sql.FINISHED_ORDERS, list(TERMINAL_STATUSES))
    return {row["order_id"] for row in rows}


async def _running_workflows(temporal: Client) -> list[str]:
    """Return the running workflows, without reconciliations and those of webhook endpoints.

    A workflow whose worker was killed continues when its activity's attempt has timed out.
    """
    running = temporal.list_workflows("ExecutionStatus = 'Running'")
    return [one.id async for one in running if not one.id.startswith(_ENDLESS)]
