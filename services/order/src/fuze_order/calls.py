"""What OrderWorkflow asks of other services, however long they are away."""

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    PAYMENT_TOKEN_CONFLICT,
    ChargeOutcome,
    ChargePayment,
    Declined,
    PaymentActivities,
)
from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    ShipOrder,
    Shipped,
    ShippingWorkflow,
    shipping_workflow_id,
)

_ASK_AGAIN_FOR_SHIPPING = timedelta(seconds=30)
_CHARGE_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_CHARGE_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)


async def ask_for_payment(command: ChargePayment) -> ChargeOutcome:
    """Ask until the outcome is known. A token that was used for something else is a decline."""
    try:
        return await workflow.execute_activity_method(
            PaymentActivities.payment_charged,
            command,
            task_queue=PAYMENT_TASK_QUEUE,
            start_to_close_timeout=_CHARGE_ATTEMPT_TIMEOUT,
            retry_policy=_CHARGE_RETRIES,
            summary=f"charge {command.amount}",
        )
    except ActivityError as error:
        cause = error.cause
        if isinstance(cause, ApplicationError) and cause.type == PAYMENT_TOKEN_CONFLICT:
            return Declined(code="payment_token_conflict")
        raise


async def ask_for_shipping(command: ShipOrder) -> Shipped:
    """Ask until the parcel is with the carrier; the shipment is made once, however often."""
    while True:
        try:
            return await workflow.execute_child_workflow(
                ShippingWorkflow.run,
                command,
                id=shipping_workflow_id(command.order_id),
                task_queue=SHIPPING_TASK_QUEUE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"ship order {command.order_id}",
            )
        except (WorkflowAlreadyStartedError, ChildWorkflowError) as error:
            # The order was reset while its shipment went on, or an operator ended the shipment.
            workflow.logger.warning("the shipment is asked for again", exc_info=error)
            await workflow.sleep(_ASK_AGAIN_FOR_SHIPPING, summary="ask again for the shipment")
