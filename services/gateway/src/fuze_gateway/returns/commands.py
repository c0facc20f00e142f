"""Requests and changes of returns: decided by the order service while the caller waits."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_contracts.read_models import PublishedReturn
from fuze_contracts.refund_allocation import RefundLine
from fuze_contracts.returns import (
    ChangeReturn,
    RequestReturn,
    RequestReturnOutcome,
    ReturnSnapshot,
    ReturnWorkflow,
)
from fuze_contracts.workflow_ids import return_workflow_id
from fuze_gateway.auth.principals import Principal
from fuze_gateway.returns.schemas import RequestReturnRequest
from fuze_gateway.upstreams import (
    UpstreamUnavailableError,
    WorkflowSlots,
    temporal_timeout,
    update_when_idle,
)

_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/returns")


def get_return_id(order_id: UUID, idempotency_key: str) -> UUID:
    """Return the id of the return that a key names; it is derived from the order and the key."""
    return uuid5(_NAMESPACE, f"{order_id}/{idempotency_key}")


def get_fingerprint(request: RequestReturnRequest, actor: str) -> str:
    """Return a digest of a request, which distinguishes a replay from a reused key."""
    content = request.model_dump_json(exclude={"actor"}, exclude_defaults=True)
    return hashlib.sha256(f"{actor}\0{content}".encode()).hexdigest()


def build_return(
    order_id: UUID,
    return_id: UUID,
    request: RequestReturnRequest,
    principal: Principal,
    step_failure_alert_after: timedelta,
) -> RequestReturn:
    """Return the workflow input of a new return."""
    actor = principal.actor_name(request.actor)
    return RequestReturn(
        order_id=order_id,
        return_id=return_id,
        lines=tuple(RefundLine.model_validate(line.model_dump()) for line in request.lines),
        include_shipping=request.include_shipping,
        reason=request.reason,
        actor=actor,
        fingerprint=get_fingerprint(request, actor),
        step_failure_alert_after=step_failure_alert_after,
    )


def rebuild_return(
    published: PublishedReturn, step_failure_alert_after: timedelta
) -> RequestReturn:
    """Return the workflow input of a stored return, whose workflow may have to start again."""
    return RequestReturn.model_validate(
        published.model_dump(include={*RequestReturn.model_fields})
        | {"step_failure_alert_after": step_failure_alert_after}
    )


class ReturnChangeRejectedError(Exception):
    """The return cannot change; `error_type` is a type from contracts, if it gave one.

    `status` is the return's status as the order service gave it.
    """

    def __init__(self, error_type: str | None, status: str | None = None) -> None:
        super().__init__(error_type or "rejected")
        self.error_type = error_type
        self.status = status


class ReturnCommands:
    """Starts and updates of return workflows.

    Every method raises `UpstreamUnavailableError` when Temporal or the order service did not answer
    in time. The return may change later; repeating the request is safe.
    """

    def __init__(self, client: Client, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout
        self._slots = WorkflowSlots()

    async def request(self, command: RequestReturn) -> RequestReturnOutcome:
        """Start the return, or find it, and return what the order service decided."""
        try:
            async with self._slots.of(command.return_id), temporal_timeout(self._timeout):
                return await update_when_idle(
                    lambda: self._client.execute_update_with_start_workflow(
                        ReturnWorkflow.get_request_outcome,
                        # No id: Temporal would repeat a refusal under it, after the run has ended.
                        start_workflow_operation=_start(command),
                        rpc_timeout=self._timeout,
                    )
                )
        except (WorkflowUpdateFailedError, RPCError) as error:
            # An operator ended the workflow meanwhile; or the namespace does not exist.
            raise UpstreamUnavailableError("temporal", timed_out=False) from error

    async def change(self, command: RequestReturn, change: ChangeReturn) -> ReturnSnapshot:
        """Change the return; its workflow starts again from the row where it is missing.

        Raises:
            ReturnChangeRejectedError: the change is not possible.

        """
        try:
            async with self._slots.of(command.return_id), temporal_timeout(self._timeout):
                return await update_when_idle(
                    lambda: self._client.execute_update_with_start_workflow(
                        ReturnWorkflow.change,
                        change,
                        start_workflow_operation=_start(command),
                        rpc_timeout=self._timeout,
                    )
                )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError):
                raise ReturnChangeRejectedError(cause.type, cause.message) from error
            raise UpstreamUnavailableError("temporal", timed_out=False) from error
        except RPCError as error:
            raise UpstreamUnavailableError("temporal", timed_out=False) from error


def _start(command: RequestReturn) -> WithStartWorkflowOperation[ReturnWorkflow, Any]:
    units = sum(line.quantity for line in command.lines)
    return WithStartWorkflowOperation(
        ReturnWorkflow.run,
        command,
        id=return_workflow_id(command.order_id, command.return_id),
        task_queue=ORDER_TASK_QUEUE,
        # Another run continues from the return's row.
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"return {units} {'unit' if units == 1 else 'units'}",
        static_details=f"requested by `{command.actor}`",
    )
