"""The lifecycle of a return."""

import asyncio
from typing import cast

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from fuze_contracts import returns as contract
from fuze_contracts.base import WORKFLOW_BUSY
from fuze_contracts.payment import Refunded, RefundOutcome, RefundRejection
from fuze_contracts.returns import (
    RETURN_NOT_FOUND,
    RETURN_STATUS_CONFLICT,
    ChangeReturn,
    RequestReturn,
    RequestReturnOutcome,
    ReturnRefused,
    ReturnSnapshot,
    ReturnStatus,
)
from fuze_order.activities import ReturnActivities
from fuze_order.messages import RecordReturn, ReturnTransition
from fuze_order.service_calls import execute_refund
from fuze_order.state import ORDER_SERVICE_ACTOR
from fuze_runtime.step_execution import execute_local_then_remote
from fuze_runtime.step_gate import StepGate
from fuze_runtime.versioning import AUTO_UPGRADE


@workflow.defn(versioning_behavior=AUTO_UPGRADE)
class ReturnWorkflow(contract.ReturnWorkflow):
    """One return: request, await the approval, await the goods, refund.

    The return's row decides what comes next. A run that was reset, or one after a termination,
    finds it by the return's id, which is also that of the refund.
    """

    @workflow.init
    def __init__(self, command: RequestReturn) -> None:
        self._command = command
        self._outcome: RequestReturnOutcome | None = None
        self._changes = asyncio.Lock()
        self._gate = StepGate()

    @workflow.run
    async def run(self, command: RequestReturn) -> RequestReturnOutcome:
        """Return the return in its last status, or why it was refused."""
        self._outcome = await execute_local_then_remote(
            ReturnActivities.return_requested,
            RecordReturn(request=command, occurred_at=workflow.now()),
            gate=self._gate,
            summary="request the return",
        )
        while isinstance(self._outcome, ReturnSnapshot) and not self._outcome.status.is_terminal:
            if self._outcome.status is ReturnStatus.RECEIVED:
                await self._refund(self._outcome)
            else:
                await self._await_change(self._outcome)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._outcome

    @workflow.update
    async def get_request_outcome(self) -> RequestReturnOutcome:  # type: ignore[override] # an update's type names its class
        """Return the return, as soon as it is committed, or why it was refused."""
        return await self._await_outcome()

    @get_request_outcome.validator
    def _validate_get_request_outcome(self) -> None:
        self._require_idle()

    @workflow.update
    async def change(self, command: ChangeReturn) -> ReturnSnapshot:  # type: ignore[override] # an update's type names its class
        """Change the return's status."""
        await self._await_outcome()
        async with self._changes:
            self._require_possible(command)
            committed = await self._record(
                command.action.status, command.actor, reason=command.reason
            )
        if committed.status is not command.action.status:
            raise _status_conflict(committed.status)
        return committed

    @change.validator
    def _validate_return_change(self, command: ChangeReturn) -> None:
        self._require_idle()
        if self._outcome is not None:
            self._require_possible(command)

    def _require_idle(self) -> None:
        if not self._gate.is_open:
            raise ApplicationError(
                "the return is in the middle of a step", type=WORKFLOW_BUSY, non_retryable=True
            )

    def _require_possible(self, command: ChangeReturn) -> None:
        """Return if the action is possible in the committed status.

        Raises:
            ApplicationError: `RETURN_NOT_FOUND` or `RETURN_STATUS_CONFLICT`.

        """
        match self._outcome:
            case ReturnRefused():
                raise ApplicationError(
                    "the return was refused", type=RETURN_NOT_FOUND, non_retryable=True
                )
            case ReturnSnapshot(status=status) if not command.action.status.may_follow(status):
                raise _status_conflict(status)

    async def _await_outcome(self) -> RequestReturnOutcome:
        await workflow.wait_condition(lambda: self._outcome is not None)
        return cast("RequestReturnOutcome", self._outcome)

    async def _await_change(self, current: ReturnSnapshot) -> None:
        workflow.set_current_details(f"{current.status}: waiting for the next decision")
        await workflow.wait_condition(lambda: self._outcome is not current)

    async def _refund(self, received: ReturnSnapshot) -> None:
        """Refund the lines; the payment service reserves the amount, or rejects the refund."""
        workflow.set_current_details("received: waiting for the refund")
        refund = await execute_local_then_remote(
            ReturnActivities.return_refund_built,
            received,
            gate=self._gate,
            summary="build the refund",
        )
        alert_after = self._command.step_failure_alert_after
        outcome = await execute_refund(
            refund.model_copy(update={"step_failure_alert_after": alert_after})
        )
        await self._record_refund(outcome)

    async def _record_refund(self, outcome: RefundOutcome) -> None:
        match outcome:
            case Refunded():
                await self._record(
                    ReturnStatus.REFUNDED,
                    "payment-service",
                    amount_minor=outcome.amount.amount_minor,
                )
            case _ if outcome.code == RefundRejection.AMOUNT_INVALID:
                # These lines cost nothing, or what they cost was refunded without the return.
                await self._record(ReturnStatus.REFUNDED, ORDER_SERVICE_ACTOR, amount_minor=0)
            case _:
                await self._record(
                    ReturnStatus.REFUND_FAILED,
                    "payment-service",
                    reason=outcome.details,
                    refund_code=outcome.code,
                )

    async def _record(
        self,
        status: ReturnStatus,
        actor: str,
        *,
        reason: str | None = None,
        amount_minor: int | None = None,
        refund_code: str | None = None,
    ) -> ReturnSnapshot:
        committed = await execute_local_then_remote(
            ReturnActivities.return_changed,
            ReturnTransition(
                order_id=self._command.order_id,
                return_id=self._command.return_id,
                status=status,
                actor=actor,
                occurred_at=workflow.now(),
                reason=reason,
                amount_minor=amount_minor,
                refund_code=refund_code,
            ),
            gate=self._gate,
            summary=f"return {status.replace('_', ' ')}",
        )
        self._outcome = committed
        return committed


def _status_conflict(status: ReturnStatus) -> ApplicationError:
    return ApplicationError(status.value, type=RETURN_STATUS_CONFLICT, non_retryable=True)
