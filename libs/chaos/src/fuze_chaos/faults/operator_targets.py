"""Finds the workflows that an operator acts on: at random, and by their pending activities."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from temporalio.api.workflow.v1 import PendingActivityInfo

from fuze_chaos.faults.catalog import FaultError, ScheduledFault
from fuze_chaos.faults.operator_client import OperatorClient, find_activity, is_started
from fuze_chaos.reference_model import TERMINAL_STATUSES
from fuze_chaos.snapshots import order_sql
from fuze_chaos.snapshots.postgres import connect

_TIMEOUT_SECONDS = 12.0
_POLL_SECONDS = 0.05


class OperatorTargets:
    """Open orders, their workflows and their activities."""

    def __init__(self, dsn: str, temporal: OperatorClient) -> None:
        self._dsn = dsn
        self._temporal = temporal

    async def choose(self, fault: ScheduledFault, kind: str, *, on_activity: bool) -> str:
        """Return a running workflow at random; `kind` is `order` or `shipping`.

        With `on_activity` it has a pending activity, which is running if there is such a one.

        Raises:
            FaultError: there is none within 12 s.

        """
        async with _time_limit(f"no {kind} workflow to act on"):
            while True:
                found = None
                for workflow_id in await self.list_open(fault, kind):
                    running = await self._temporal.describe_running(workflow_id)
                    if running is None:
                        continue
                    activity = find_activity(running)
                    if not on_activity or (activity and is_started(activity)):
                        return workflow_id
                    if activity:
                        found = workflow_id
                if found:
                    return found
                await asyncio.sleep(_POLL_SECONDS)

    async def wait_for_activity(
        self, workflow_id: str, *, started: bool = False
    ) -> PendingActivityInfo:
        """Return a pending activity; only one that is `started` can be completed by its id.

        Raises:
            FaultError: there is none within 12 s, or the workflow has ended.

        """
        async with _time_limit(f"{workflow_id} has no pending activity"):
            while running := await self._temporal.describe_running(workflow_id):
                activity = find_activity(running)
                if activity and (is_started(activity) or not started):
                    return activity
                await asyncio.sleep(_POLL_SECONDS)
        raise FaultError(f"{workflow_id} has ended before")

    async def list_open(self, fault: ScheduledFault, kind: str) -> list[str]:
        """Return the workflows of orders that have not ended, in an order that the fault draws."""
        query = order_sql.OPEN_ORDERS if kind == "order" else order_sql.ORDERS_WITH_SHIPMENT
        async with connect(self._dsn) as connection:
            rows = await connection.fetch(query, list(TERMINAL_STATUSES))
        found = [f"{kind}/{row['order_id']}" for row in rows]
        create_random(fault).shuffle(found)
        return found

    async def read_order(self, workflow_id: str) -> dict[str, Any] | None:
        """Return the row of a workflow's order."""
        async with connect(self._dsn) as connection:
            row = await connection.fetchrow(order_sql.ORDER, to_order_id(workflow_id))
        return dict(row) if row else None


def to_order_id(workflow_id: str) -> str:
    """Return the order of an order's or a shipment's workflow."""
    return workflow_id.partition("/")[2]


def create_random(fault: ScheduledFault) -> random.Random:
    """Return the fault's own sequence of random numbers, which the seed determines."""
    return random.Random(f"{fault.number}/{fault.at}")  # noqa: S311 - reproducible on purpose


@asynccontextmanager
async def _time_limit(failure: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            yield
    except TimeoutError:
        raise FaultError(f"{failure} within {_TIMEOUT_SECONDS:.0f} s") from None
