"""What OrderWorkflow asks of other services, however long they are away."""

from datetime import timedelta
from uuid import UUID

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

from fuze_contracts.order import PlaceOrder
from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    PAYMENT_TOKEN_CONFLICT,
    ChargeOutcome,
    ChargePayment,
    Declined,
    PaymentActivities,
    Voided,
    VoidOutcome,
    VoidPayment,
)
from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    Address,
    CancelShipment,
    CancelShipmentOutcome,
    ChangeShipmentAddress,
    ChangeShipmentAddressOutcome,
    ParcelItem,
    ShipmentActivities,
    ShipOrder,
    ShippingOutcome,
    ShippingWorkflow,
)
from fuze_contracts.workflow_ids import shipping_workflow_id

_ASK_AGAIN_FOR_SHIPPING = timedelta(seconds=30)
_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)


def charge_of(order: PlaceOrder, token: str, payment_method: str | None) -> ChargePayment:
    """Return one attempt to charge the order."""
    return ChargePayment(
        order_id=order.order_id,
        payment_token=token,
        amount=order.total,
        payment_method=payment_method,
    )


async def ask_for_payment(command: ChargePayment, patience: timedelta | None) -> ChargeOutcome:
    """Ask until the outcome is known, or for as long as patience lasts.

    A token that was used for something else is a decline.
    """
    try:
        return await workflow.execute_activity_method(
            PaymentActivities.payment_charged,
            command,
            task_queue=PAYMENT_TASK_QUEUE,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            schedule_to_close_timeout=patience,
            retry_policy=_RETRIES,
            summary=f"charge {command.amount}",
        )
    except ActivityError as error:
        if _is_conflict(error):
            return Declined(code="payment_token_conflict")
        raise


async def ask_to_keep_nothing(charge: ChargePayment, patience: timedelta | None) -> VoidOutcome:
    """Ask until nothing of a charge is kept, or for as long as patience lasts.

    Nothing was taken for us under a token that was used for something else.
    """
    try:
        return await workflow.execute_activity_method(
            PaymentActivities.payment_voided,
            VoidPayment(charge=charge, reason="the order is cancelled"),
            task_queue=PAYMENT_TASK_QUEUE,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            schedule_to_close_timeout=patience,
            retry_policy=_RETRIES,
            summary=f"give back {charge.amount}",
        )
    except ActivityError as error:
        if _is_conflict(error):
            return Voided()
        raise


async def ask_for_shipping(order: PlaceOrder, address: Address) -> ShippingOutcome:
    """Ask until the shipment has an outcome; it is made once, however often."""
    command = ShipOrder(
        order_id=order.order_id,
        address=address,
        items=tuple(ParcelItem(sku=line.sku, quantity=line.quantity) for line in order.lines),
        step_failure_alert_after=order.step_failure_alert_after,
    )
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


async def ask_to_call_off(order_id: UUID) -> CancelShipmentOutcome:
    """Ask that the parcel is not handed over; the shipping service decides the race."""
    return await workflow.execute_activity_method(
        ShipmentActivities.shipment_cancelled,
        CancelShipment(order_id=order_id),
        task_queue=SHIPPING_TASK_QUEUE,
        start_to_close_timeout=_ATTEMPT_TIMEOUT,
        retry_policy=_RETRIES,
        summary="call the shipment off",
    )


async def ask_to_readdress(order_id: UUID, address: Address) -> ChangeShipmentAddressOutcome:
    """Ask that the parcel goes elsewhere; the shipping service decides the race."""
    return await workflow.execute_activity_method(
        ShipmentActivities.shipment_address_changed,
        ChangeShipmentAddress(order_id=order_id, address=address),
        task_queue=SHIPPING_TASK_QUEUE,
        start_to_close_timeout=_ATTEMPT_TIMEOUT,
        retry_policy=_RETRIES,
        summary="send the parcel elsewhere",
    )


async def ask_to_retry_shipping(order_id: UUID) -> None:
    """Have the shipment try now; without effect where it has ended meanwhile."""
    shipment = workflow.get_external_workflow_handle_for(
        ShippingWorkflow.run, shipping_workflow_id(order_id)
    )
    try:
        await shipment.signal(ShippingWorkflow.retry)
    except ApplicationError as error:
        workflow.logger.warning("no shipment hears of the retry", exc_info=error)


def _is_conflict(error: ActivityError) -> bool:
    cause = error.cause
    return isinstance(cause, ApplicationError) and cause.type == PAYMENT_TOKEN_CONFLICT
