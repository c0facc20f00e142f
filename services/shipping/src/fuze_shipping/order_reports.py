"""What the shipping service reports to an order: by update, for clients can fill its signals."""

from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.workflow import UpdateMethodMultiParam

from fuze_contracts.base import Message
from fuze_contracts.order import OrderWorkflow, StepFailure
from fuze_contracts.shipping import DeliveryStatusChanged
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_shipping.messages import StepFailureReport

Report = TypeVar("Report", bound=Message)

_RPC_TIMEOUT = timedelta(seconds=10)
_ALERT_ATTEMPT = 60
"""About half an hour after the first one."""

_ENDED = {
    WorkflowExecutionStatus.COMPLETED,
    WorkflowExecutionStatus.FAILED,
    WorkflowExecutionStatus.CANCELED,
}
"""How an order ends by itself. One that was terminated may be started again."""


class OrderReports:
    """Reports to the order's workflow, which is the only one that knows what follows from them.

    Each returns False where the order has ended, and is retried while it cannot be reached; then it
    needs attention. The update's id makes a repeated report the same one.
    """

    @activity.defn
    async def delivery_status_reported(self, report: DeliveryStatusChanged) -> bool:
        """Report the delivery status; however many webhooks say the same, the order gets one.

        Raises:
            RPCError: Temporal or the order's worker is unavailable; retry.
            ApplicationError: the order's workflow did not end by itself; retry.

        """
        return await _update_order(
            report.order_id,
            OrderWorkflow.report_delivery_status,
            report,
            update_id=f"delivery-{report.status}",
        )

    @activity.defn
    async def step_failure_reported(self, report: StepFailureReport) -> bool:
        """Report that a step keeps failing.

        Raises:
            RPCError: Temporal or the order's worker is unavailable; retry.
            ApplicationError: the order's workflow did not end by itself; retry.

        """
        attempt = activity.info()
        return await _update_order(
            report.order_id,
            OrderWorkflow.report_step_failure,
            StepFailure(step=report.step, last_error=report.last_error),
            update_id=f"failure-{attempt.workflow_run_id}-{attempt.activity_id}",
        )


async def _update_order(
    order_id: UUID,
    update: UpdateMethodMultiParam[[OrderWorkflow, Report], None],
    report: Report,
    *,
    update_id: str,
) -> bool:
    if activity.info().attempt == _ALERT_ATTEMPT:
        _flag_for_attention()
    order = activity.client().get_workflow_handle_for(
        OrderWorkflow.run, order_workflow_id(order_id)
    )
    try:
        await order.execute_update(update, report, id=update_id, rpc_timeout=_RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
    else:
        return True
    try:
        description = await order.describe(rpc_timeout=_RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False  # it ended longer ago than Temporal keeps workflows
    if description.status not in _ENDED:
        status = description.status.name.lower() if description.status else "unknown"
        raise ApplicationError(
            f"workflow {order.id} is {status}, and cannot take the report; start it again"
        )
    return False


def _flag_for_attention() -> None:
    step = activity.info().activity_type
    activity.metric_meter().create_counter(
        "fuze_steps_needing_attention_total", "Steps that kept failing for too long"
    ).add(1, {"step": step})
    activity.logger.error("order cannot be reached", extra={"step": step})
