"""The clients of the load generator: one for REST APIs, one for the floor, which has none."""

import asyncio
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import asyncpg
from temporalio.client import Client, WorkflowHandle

from fuze_bench.http_connection import HttpError, HttpPool
from fuze_bench.load import Order
from fuze_bench.sides import floor_workflows as floor

POLL_SECONDS = 0.25
"""When a caller reads its order for the first time; each next wait is half as long again."""

MAX_POLL_SECONDS = 1.0


class RestClient:
    """Calls a side's REST API, which is Fuze's: start, approve, and poll `GET /orders/{id}`.

    It repeats a request that was answered with 503, which a busy machine can cause; the order's
    latency includes the wait.
    """

    def __init__(self, http: HttpPool, dsn: str, schema: str) -> None:
        self._http = http
        self._dsn = dsn
        self._schema = schema
        self.repeated_requests = 0

    async def start(self, order: Order) -> None:
        """Place the order."""
        body = {name: value for name, value in order.items() if name != "order_id"}
        await self._request("POST", f"/orders/{order['order_id']}/start", body)

    async def approve(self, order_id: str) -> None:
        """Approve the order, with a signal: the response does not wait for the outcome."""
        await self._request("POST", f"/orders/{order_id}/signals/approve", {})

    async def wait_until_shipped(self, order_id: str) -> None:
        """Poll until the order is shipped, ever less often."""
        wait = POLL_SECONDS
        while True:
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, MAX_POLL_SECONDS)
            status, body = await self._request("GET", f"/orders/{order_id}")
            # Until it is stored, an accepted order is not found.
            if status != HTTPStatus.NOT_FOUND and json.loads(body)["status"] == "shipped":
                return

    async def shipped_at(self, order_ids: Sequence[str]) -> dict[str, float]:
        """Return when PostgreSQL recorded each order's last event."""
        query = (
            "SELECT order_id::text, extract(epoch FROM recorded_at)::float8 AS at FROM events"
            " WHERE type = 'order_shipped' AND order_id = ANY($1::uuid[])"
        )
        settings = {"search_path": self._schema}
        connection = await asyncpg.connect(self._dsn, server_settings=settings)
        try:
            rows = await connection.fetch(query, list(order_ids))
        finally:
            await connection.close()
        return {row["order_id"]: row["at"] for row in rows}

    async def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        while True:
            status, received = await self._http.request(method, path, body)
            if status < HTTPStatus.BAD_REQUEST or status == HTTPStatus.NOT_FOUND:
                return status, received
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                raise HttpError(f"{method} {path}: {status} {received[:200]!r}")
            self.repeated_requests += 1
            await asyncio.sleep(POLL_SECONDS)


class FloorClient:
    """Calls Temporal itself: start, signal, and wait for the result without polling."""

    repeated_requests = 0  # the SDK repeats them itself

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal

    async def start(self, order: Order) -> None:
        """Start the order's workflow."""
        order_id = order["order_id"]
        await self._temporal.start_workflow(
            floor.FloorOrderWorkflow.run,
            order_id,
            id=floor.order_workflow_id(order_id),
            task_queue=floor.ORDER_QUEUE,
        )

    async def approve(self, order_id: str) -> None:
        """Signal the approval."""
        await self._handle(order_id).signal(floor.FloorOrderWorkflow.approve)

    async def wait_until_shipped(self, order_id: str) -> None:
        """Wait for the workflow's result."""
        await self._handle(order_id).result()

    async def shipped_at(self, order_ids: Sequence[str]) -> dict[str, float]:
        """Return when Temporal closed each order's workflow."""
        closed = {}
        for order_id in order_ids:
            description = await self._handle(order_id).describe()
            if description.close_time:
                closed[order_id] = description.close_time.timestamp()
        return closed

    def _handle(self, order_id: str) -> WorkflowHandle[floor.FloorOrderWorkflow, None]:
        return self._temporal.get_workflow_handle_for(
            floor.FloorOrderWorkflow.run, floor.order_workflow_id(order_id)
        )
