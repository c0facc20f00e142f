"""What Temporal knows of an order: its workflow, and the steps that it is waiting for."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError

from fuze_contracts.order import OrderSnapshot, OrderWorkflow
from fuze_contracts.workflow_ids import order_workflow_id, shipping_workflow_id
from fuze_gateway.availability import SourceUnavailableError, temporal_within
from fuze_gateway.schemas import LiveMissing, PendingActivity

_LONGEST_FAILURE = 200


@dataclass(frozen=True, kw_only=True)
class LiveAnswer:
    """A workflow's state, with its own account of the order where a worker could give it.

    `missing` says why `order` is None.
    """

    execution: WorkflowExecutionStatus
    pending_activities: Sequence[PendingActivity] = ()
    order: OrderSnapshot | None = None
    missing: LiveMissing | None = None

    @property
    def is_open(self) -> bool:
        """Whether the order can still change."""
        return self.execution is WorkflowExecutionStatus.RUNNING


class LiveOrders:
    """Reads of order workflows, each within the limit.

    Every method raises `SourceUnavailableError` when Temporal does not answer in time.
    """

    def __init__(self, client: Client, limit: timedelta) -> None:
        self._client = client
        self._limit = limit

    async def read(self, order_id: UUID) -> LiveAnswer | None:
        """Return what the order's workflow says of itself, or None where Temporal has none.

        A closed workflow is described and not queried: a query would make a worker replay it for
        an answer that its row already has.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limit.total_seconds()
        description = await self._describe(order_workflow_id(order_id), self._limit)
        if description is None:
            return None
        execution = description.status or WorkflowExecutionStatus.RUNNING
        if execution is not WorkflowExecutionStatus.RUNNING:
            return LiveAnswer(execution=execution, missing="workflow closed")
        rest = timedelta(seconds=max(deadline - loop.time(), 0.001))
        (order, missing), shipping_activities = await asyncio.gather(
            self._query(order_id, rest),
            self._shipping_activities(order_id, description, rest),
        )
        return LiveAnswer(
            execution=execution,
            pending_activities=[*_pending_activities(description), *shipping_activities],
            order=order,
            missing=missing,
        )

    async def exists(self, order_id: UUID) -> bool:
        """Say whether Temporal has the order's workflow, running or closed."""
        return await self._describe(order_workflow_id(order_id), self._limit) is not None

    async def fingerprint(self, workflow_id: str) -> str | None:
        """Return the digest that a workflow was started with, or None without either."""
        description = await self._describe(workflow_id, self._limit)
        if description is None:
            return None
        fingerprint = (await description.memo()).get("fingerprint")
        return None if fingerprint is None else str(fingerprint)

    async def check(self) -> None:
        """Return when Temporal answers."""
        async with temporal_within(self._limit):
            await self._client.service_client.check_health(timeout=self._limit)

    async def _describe(
        self, workflow_id: str, limit: timedelta
    ) -> WorkflowExecutionDescription | None:
        try:
            async with temporal_within(limit):
                return await self._client.get_workflow_handle(workflow_id).describe(
                    rpc_timeout=limit
                )
        except RPCError:  # only NOT_FOUND comes through
            return None

    async def _query(
        self, order_id: UUID, limit: timedelta
    ) -> tuple[OrderSnapshot | None, LiveMissing | None]:
        """Ask the workflow itself, which takes a worker.

        Temporal answered a moment ago, so a failure here is the worker's.
        """
        handle = self._client.get_workflow_handle_for(
            OrderWorkflow.run, order_workflow_id(order_id)
        )
        try:
            async with temporal_within(limit):
                return await handle.query(OrderWorkflow.status, rpc_timeout=limit), None
        except (SourceUnavailableError, WorkflowQueryFailedError):
            return None, "no worker answered"
        except RPCError:  # closed and swept away since it was described
            return None, "workflow not found"

    async def _shipping_activities(
        self, order_id: UUID, parent: WorkflowExecutionDescription, limit: timedelta
    ) -> list[PendingActivity]:
        """Look into the child where there is one: that is where a missing carrier shows."""
        shipping_id = shipping_workflow_id(order_id)
        children = {child.workflow_id for child in parent.raw_description.pending_children}
        if shipping_id not in children:
            return []
        try:
            description = await self._describe(shipping_id, limit)
        except SourceUnavailableError:
            return []
        return [] if description is None else _pending_activities(description)


def first_line(text: str) -> str:
    """Shorten an error to what a caller may see: drivers append statements and parameters."""
    return text.partition("\n")[0][:_LONGEST_FAILURE]


def _pending_activities(description: WorkflowExecutionDescription) -> list[PendingActivity]:
    return [_pending_activity(info) for info in description.raw_description.pending_activities]


def _pending_activity(info: PendingActivityInfo) -> PendingActivity:
    return PendingActivity(
        name=info.activity_type.name,
        attempt=info.attempt,
        last_failure=first_line(info.last_failure.message) or None,
        next_attempt_at=_time(info.next_attempt_schedule_time),
    )


def _time(timestamp: Timestamp) -> datetime | None:
    """Temporal sends the epoch where there is no time to send."""
    return timestamp.ToDatetime(UTC) if timestamp.seconds else None
