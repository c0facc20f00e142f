"""Reads of order workflows in Temporal: their state and their pending activities."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError

from fuze_contracts.order import OrderSnapshot, OrderWorkflow
from fuze_contracts.workflow_ids import order_workflow_id, shipping_workflow_id
from fuze_gateway.orders.schemas.status import ActivityState, LiveUnavailable, PendingActivity
from fuze_gateway.upstreams import UpstreamUnavailableError, temporal_timeout
from fuze_runtime.temporal import get_failure_message

_MAX_FAILURE_LENGTH = 200
_LAST_EVENTS = 20
_QUERY_SHARE = 0.7


@dataclass(frozen=True, kw_only=True)
class WorkflowSnapshot:
    """The state of a workflow execution, and the order's snapshot if a worker could return it.

    `unavailable` is the reason why `order` is None; `last_error` the failure of its workflow task.
    """

    execution: WorkflowExecutionStatus
    pending_activities: Sequence[PendingActivity] = ()
    order: OrderSnapshot | None = None
    unavailable: LiveUnavailable | None = None
    last_error: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the workflow is running."""
        return self.execution is WorkflowExecutionStatus.RUNNING


class WorkflowQueries:
    """Reads of workflows; `UpstreamUnavailableError` when Temporal is unavailable."""

    def __init__(self, client: Client, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout

    async def get_snapshot(self, order_id: UUID) -> WorkflowSnapshot | None:
        """Return the state of the order's workflow, or None if Temporal has none.

        A closed workflow is described but not queried: a query would make a worker replay it for
        a result that its row already has.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout.total_seconds()
        description = await self._describe(order_workflow_id(order_id), self._timeout)
        if description is None:
            return None
        execution = description.status or WorkflowExecutionStatus.RUNNING
        if execution is not WorkflowExecutionStatus.RUNNING:
            return WorkflowSnapshot(
                execution=execution, unavailable=LiveUnavailable.WORKFLOW_CLOSED
            )
        # Some time is left to find out why a query is not answered.
        remaining = timedelta(seconds=max(deadline - loop.time(), 0.001)) * _QUERY_SHARE
        (order, unavailable), shipping_activities = await asyncio.gather(
            self._query(order_id, remaining),
            self._shipping_activities(order_id, description, remaining),
        )
        last_error = None
        if unavailable is LiveUnavailable.NO_WORKER:
            last_error = await self._find_task_failure(order_id, remaining / 2)
            if last_error:
                unavailable = LiveUnavailable.WORKFLOW_TASK_FAILING
        return WorkflowSnapshot(
            execution=execution,
            last_error=last_error,
            pending_activities=[*await self._pending_activities(description), *shipping_activities],
            order=order,
            unavailable=unavailable,
        )

    async def is_running(self, order_id: UUID) -> bool:
        """Return whether the order's workflow is running."""
        description = await self._describe(order_workflow_id(order_id), self._timeout)
        return description is not None and description.status is WorkflowExecutionStatus.RUNNING

    async def exists(self, order_id: UUID) -> bool:
        """Return whether Temporal has the order's workflow, running or closed."""
        return await self._describe(order_workflow_id(order_id), self._timeout) is not None

    async def get_fingerprint(self, workflow_id: str) -> str | None:
        """Return the fingerprint in a workflow's memo, or None if it has none."""
        return await self._get_from_memo(workflow_id, "fingerprint")

    async def get_owner(self, workflow_id: str) -> str | None:
        """Return the owner in a workflow's memo, or None if it has none."""
        return await self._get_from_memo(workflow_id, "owner")

    async def _get_from_memo(self, workflow_id: str, name: str) -> str | None:
        description = await self._describe(workflow_id, self._timeout)
        if description is None:
            return None
        async with temporal_timeout(self._timeout):
            value = (await description.memo()).get(name)
        return None if value is None else str(value)

    async def _describe(
        self, workflow_id: str, limit: timedelta
    ) -> WorkflowExecutionDescription | None:
        try:
            async with temporal_timeout(limit):
                return await self._client.get_workflow_handle(workflow_id).describe(
                    rpc_timeout=limit
                )
        except RPCError:  # only NOT_FOUND is passed through
            return None

    async def _query(
        self, order_id: UUID, limit: timedelta
    ) -> tuple[OrderSnapshot | None, LiveUnavailable | None]:
        """Query the workflow, which requires a worker.

        Temporal responded a moment ago, so a failure here is attributed to the worker.
        """
        handle = self._client.get_workflow_handle_for(
            OrderWorkflow.run, order_workflow_id(order_id)
        )
        try:
            async with temporal_timeout(limit):
                return await handle.query(OrderWorkflow.status, rpc_timeout=limit), None
        except (UpstreamUnavailableError, WorkflowQueryFailedError):
            return None, LiveUnavailable.NO_WORKER
        except RPCError:  # closed and deleted since it was described
            return None, LiveUnavailable.WORKFLOW_NOT_FOUND

    async def _find_task_failure(self, order_id: UUID, limit: timedelta) -> str | None:
        """Return why the workflow task keeps failing; None where it does not fail.

        Only its first failure is in the history, near its end.
        """
        workflow_id = order_workflow_id(order_id)
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=self._client.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id),
            maximum_page_size=_LAST_EVENTS,
        )
        try:
            description = await self._describe(workflow_id, limit)
            if description is None:
                return None
            if description.raw_description.pending_workflow_task.attempt <= 1:
                return None
            service = self._client.workflow_service
            async with temporal_timeout(limit):
                response = await service.get_workflow_execution_history_reverse(
                    request, timeout=limit
                )
        except (RPCError, UpstreamUnavailableError):
            return None
        for event in response.history.events:
            if event.HasField("workflow_task_failed_event_attributes"):
                failure = event.workflow_task_failed_event_attributes.failure
                if message := await get_failure_message(self._client, failure):
                    return message
        return "the workflow task fails"

    async def _shipping_activities(
        self, order_id: UUID, parent: WorkflowExecutionDescription, limit: timedelta
    ) -> list[PendingActivity]:
        """Return the pending activities of the shipping child workflow, if there is one."""
        shipping_id = shipping_workflow_id(order_id)
        children = {child.workflow_id for child in parent.raw_description.pending_children}
        if shipping_id not in children:
            return []
        try:
            description = await self._describe(shipping_id, limit)
        except UpstreamUnavailableError:
            return []
        return [] if description is None else await self._pending_activities(description)

    async def _pending_activities(
        self, description: WorkflowExecutionDescription
    ) -> list[PendingActivity]:
        pending = description.raw_description.pending_activities
        return [await self._to_pending_activity(info) for info in pending]

    async def _to_pending_activity(self, info: PendingActivityInfo) -> PendingActivity:
        return PendingActivity(
            name=info.activity_type.name,
            state=_activity_state(info),
            attempt=info.attempt,
            last_failure=first_line(await get_failure_message(self._client, info.last_failure))
            or None,
            next_attempt_at=_to_datetime(info.next_attempt_schedule_time),
        )


def first_line(text: str) -> str:
    """Return the part of an error that a caller may see: drivers append SQL and parameters."""
    return text.partition("\n")[0][:_MAX_FAILURE_LENGTH]


def _activity_state(info: PendingActivityInfo) -> ActivityState:
    match info.state:
        case PendingActivityState.PENDING_ACTIVITY_STATE_STARTED:
            return "started"
        case PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED:
            return "cancel_requested"
        case (
            PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED
            | PendingActivityState.PENDING_ACTIVITY_STATE_PAUSE_REQUESTED
        ):
            return "paused"
        case _:
            return "backing_off" if info.next_attempt_schedule_time.seconds else "scheduled"


def _to_datetime(timestamp: Timestamp) -> datetime | None:
    """Return None for the epoch, which Temporal sends for an unset timestamp."""
    return timestamp.ToDatetime(UTC) if timestamp.seconds else None
