"""An operator's calls to Temporal: what the `temporal` command and the Web UI send.

Each call is retried while Temporal is unavailable.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar
from uuid import uuid4

import stamina
from google.protobuf.message import Message
from temporalio.api.batch.v1 import BatchOperationCancellation
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import (
    BatchOperationState,
    EventType,
    PendingActivityState,
    ResetReapplyExcludeType,
)
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DescribeBatchOperationRequest,
    DescribeWorkflowExecutionResponse,
    PauseActivityRequest,
    ResetWorkflowExecutionRequest,
    RespondActivityTaskCompletedByIdRequest,
    RespondActivityTaskFailedByIdRequest,
    StartBatchOperationRequest,
    UnpauseActivityRequest,
)
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from fuze_chaos.faults.catalog import FaultError

_IDENTITY = "fuze-chaos-operator"
_REASON = "fuze chaos"
_CALL_TIMEOUT = timedelta(seconds=5)
_RETRY_SECONDS = 30.0
_POLL_SECONDS = 0.05
_MESSAGES = (
    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_SIGNAL,
    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE,
    ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_CANCEL_REQUEST,
)
_TRANSIENT = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.UNKNOWN,
        RPCStatusCode.INTERNAL,
    }
)

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response")


class TemporalUnavailableError(FaultError):
    """Temporal did not respond for 30 s: the call may have had its effect."""


class OperatorClient:
    """Calls Temporal as an operator.

    Every method raises `FaultError` if Temporal refuses the call, for example because the workflow
    or the activity has ended, and `TemporalUnavailableError` if it does not respond.
    """

    def __init__(self, temporal: Client) -> None:
        self._temporal = temporal
        self._service = temporal.workflow_service
        self._namespace = temporal.namespace

    async def describe_running(self, workflow_id: str) -> DescribeWorkflowExecutionResponse | None:
        """Return the current run of a workflow if it is running."""
        found = await self._describe(workflow_id)
        is_running = found is not None and found.status is WorkflowExecutionStatus.RUNNING
        return found.raw_description if found and is_running else None

    async def is_cancel_requested(self, workflow_id: str) -> bool:
        """Whether Temporal has recorded a cancellation of the workflow's current run."""
        found = await self._describe(workflow_id)
        return bool(found and found.raw_description.workflow_extended_info.cancel_requested)

    async def reset(self, workflow_id: str, *, to_first: bool, excludes_messages: bool) -> None:
        """Reset a workflow to its first or its last workflow task.

        Signals, updates and cancellations since then are re-applied, or excluded.
        """
        tasks = await self._wait_for_completed_tasks(workflow_id)
        request = ResetWorkflowExecutionRequest(
            namespace=self._namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            reason=_REASON,
            workflow_task_finish_event_id=tasks[0 if to_first else -1],
            request_id=str(uuid4()),
            reset_reapply_exclude_types=_MESSAGES if excludes_messages else (),
            identity=_IDENTITY,
        )
        await self._call(self._service.reset_workflow_execution, request)

    async def _wait_for_completed_tasks(self, workflow_id: str) -> list[int]:
        """Return the event ids of the workflow tasks that are completed, at least one."""
        handle = self._temporal.get_workflow_handle(workflow_id)
        deadline = time.monotonic() + _RETRY_SECONDS
        while time.monotonic() < deadline:
            history = await _retry(lambda: handle.fetch_history(rpc_timeout=_CALL_TIMEOUT))
            tasks = [
                event.event_id
                for event in history.events
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
            ]
            if tasks:
                return tasks
            await asyncio.sleep(_POLL_SECONDS)
        raise FaultError(f"{workflow_id} has not completed a workflow task")

    async def cancel(self, workflow_ids: Sequence[str]) -> None:
        """Cancel the running ones of these workflows in one batch operation, and wait for it."""
        listed = ", ".join(f"'{one}'" for one in workflow_ids)
        job_id = str(uuid4())
        request = StartBatchOperationRequest(
            namespace=self._namespace,
            visibility_query=f"ExecutionStatus = 'Running' AND WorkflowId IN ({listed})",
            job_id=job_id,
            reason=_REASON,
            cancellation_operation=BatchOperationCancellation(identity=_IDENTITY),
        )
        await self._call(self._service.start_batch_operation, request)
        description = DescribeBatchOperationRequest(namespace=self._namespace, job_id=job_id)
        async with asyncio.timeout(_RETRY_SECONDS):
            while True:
                found = await self._call(self._service.describe_batch_operation, description)
                if found.state != BatchOperationState.BATCH_OPERATION_STATE_RUNNING:
                    return
                await asyncio.sleep(_POLL_SECONDS)

    async def terminate(self, workflow_id: str) -> None:
        """Terminate a workflow."""
        handle = self._temporal.get_workflow_handle(workflow_id)
        await _retry(lambda: handle.terminate(reason=_REASON, rpc_timeout=_CALL_TIMEOUT))

    async def delete(self, workflow_id: str) -> None:
        """Delete a workflow's current run with its history; a running one is terminated."""
        execution = WorkflowExecution(workflow_id=workflow_id)
        request = DeleteWorkflowExecutionRequest(
            namespace=self._namespace, workflow_execution=execution
        )
        await self._call(self._service.delete_workflow_execution, request)

    async def pause_activity(self, workflow_id: str, activity_id: str) -> None:
        """Pause an activity: a running attempt continues, and no other one starts."""
        request = PauseActivityRequest(
            namespace=self._namespace,
            execution=WorkflowExecution(workflow_id=workflow_id),
            id=activity_id,
            identity=_IDENTITY,
            reason=_REASON,
        )
        await self._call(self._service.pause_activity, request)

    async def unpause_activity(self, workflow_id: str, activity_id: str) -> None:
        """Unpause an activity."""
        request = UnpauseActivityRequest(
            namespace=self._namespace,
            execution=WorkflowExecution(workflow_id=workflow_id),
            id=activity_id,
            identity=_IDENTITY,
        )
        await self._call(self._service.unpause_activity, request)

    async def fail_activity(self, workflow_id: str, activity_id: str, *, is_final: bool) -> None:
        """Fail an activity; a final failure is what `temporal activity fail` sends."""
        failure = Failure(
            message="failed by an operator",
            source="CLI",
            application_failure_info=ApplicationFailureInfo(non_retryable=is_final),
        )
        request = RespondActivityTaskFailedByIdRequest(
            namespace=self._namespace,
            workflow_id=workflow_id,
            activity_id=activity_id,
            failure=failure,
            identity=_IDENTITY,
        )
        await self._call(self._service.respond_activity_task_failed_by_id, request)

    async def complete_activity(self, workflow_id: str, activity_id: str, result: str) -> None:
        """Complete an activity with a string as its result."""
        payload = Payload(metadata={"encoding": b"json/plain"}, data=f'"{result}"'.encode())
        request = RespondActivityTaskCompletedByIdRequest(
            namespace=self._namespace,
            workflow_id=workflow_id,
            activity_id=activity_id,
            result=Payloads(payloads=[payload]),
            identity=_IDENTITY,
        )
        await self._call(self._service.respond_activity_task_completed_by_id, request)

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        handle = self._temporal.get_workflow_handle(workflow_id)
        try:
            return await _retry(lambda: handle.describe(rpc_timeout=_CALL_TIMEOUT))
        except TemporalUnavailableError:
            raise
        except FaultError:
            return None

    async def _call(self, method: Callable[..., Awaitable[Response]], request: Request) -> Response:
        return await _retry(lambda: method(request, timeout=_CALL_TIMEOUT))


def find_activity(running: DescribeWorkflowExecutionResponse) -> PendingActivityInfo | None:
    """Return a pending activity, one with a running attempt first."""
    by_state = sorted(running.pending_activities, key=lambda one: not is_started(one))
    return next(iter(by_state), None)


def is_started(activity: PendingActivityInfo) -> bool:
    """Whether an attempt of the activity is running."""
    return activity.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED


def _is_transient(error: Exception) -> bool:
    return isinstance(error, RPCError) and error.status in _TRANSIENT


async def _retry(call: Callable[[], Awaitable[Response]]) -> Response:
    """Retry a call while Temporal is unavailable, for 30 s.

    Raises:
        FaultError: Temporal refuses the call.
        TemporalUnavailableError: it stays unavailable.

    """
    retries = stamina.retry_context(
        on=_is_transient, attempts=None, timeout=_RETRY_SECONDS, wait_initial=0.2, wait_max=1
    )
    try:
        async for attempt in retries:
            with attempt:
                return await call()
    except RPCError as error:
        if _is_transient(error):
            raise TemporalUnavailableError(error.message) from error
        if error.status is RPCStatusCode.ALREADY_EXISTS:
            raise FaultError("an earlier attempt has arrived, its response was lost") from error
        raise FaultError(error.message) from error
    raise AssertionError("unreachable: the last attempt raises")
