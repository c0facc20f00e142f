"""The order service's calls to other services. Each is idempotent and survives any outage."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
)

from fuze_contracts.address import Address
from fuze_contracts.order import PlaceOrder
from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    PAYMENT_TOKEN_CONFLICT,
    ChargeOutcome,
    ChargePayment,
    Declined,
    ListKeptCharges,
    PaymentActivities,
    RefundOutcome,
    RefundPayment,
    RefundWorkflow,
    Voided,
    VoidOutcome,
    VoidPayment,
)
from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    CancelShipment,
    CancelShipmentOutcome,
    ChangeShipmentAddress,
    ChangeShipmentAddressOutcome,
    DeliveryStatusChanged,
    FindDeliveryStatus,
    ListDispatchedOrders,
    ParcelItem,
    ShipmentActivities,
    ShipOrder,
    ShippingOutcome,
    ShippingWorkflow,
)
from fuze_contracts.workflow_ids import refund_workflow_id, shipping_workflow_id
from fuze_order.state import OrderState

ATTEMPT_TIMEOUT = timedelta(seconds=30)
_RESTART_CHILD_AFTER = timedelta(seconds=1)
_MAX_RESTART_INTERVAL = timedelta(minutes=15)
"""A reset order waits for a shipment that may run for days: each request is in its history."""
RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30))

Result = TypeVar("Result")


def build_charge(order: PlaceOrder, state: OrderState) -> ChargePayment:
    """Return the order's current charge: its committed payment token and method."""
    return ChargePayment(
        order_id=order.order_id,
        payment_token=state.payment_token,
        amount=order.total,
        payment_method=state.payment_method,
    )


async def charge_payment(charge: ChargePayment, time_limit: timedelta | None) -> ChargeOutcome:
    """Retry until the outcome is known, or until the time limit.

    A token that was used for something else is a decline.
    """
    try:
        return await workflow.execute_activity_method(
            PaymentActivities.payment_charged,
            charge,
            task_queue=PAYMENT_TASK_QUEUE,
            start_to_close_timeout=ATTEMPT_TIMEOUT,
            schedule_to_close_timeout=time_limit,
            retry_policy=RETRIES,
            summary=f"charge {charge.amount}",
        )
    except ActivityError as error:
        if _is_token_conflict(error):
            return Declined(code="payment_token_conflict")
        raise


async def void_payment(
    charge: ChargePayment, time_limit: timedelta | None, *, reason: str
) -> VoidOutcome:
    """Retry until no money of the charge is kept, or until the time limit.

    Under a token that was used for something else, nothing was charged for this order.
    """
    try:
        return await workflow.execute_activity_method(
            PaymentActivities.payment_voided,
            VoidPayment(charge=charge, reason=reason),
            task_queue=PAYMENT_TASK_QUEUE,
            start_to_close_timeout=ATTEMPT_TIMEOUT,
            schedule_to_close_timeout=time_limit,
            retry_policy=RETRIES,
            summary=f"void {charge.amount}",
        )
    except ActivityError as error:
        if _is_token_conflict(error):
            return Voided()
        raise


async def list_kept_charges(order_ids: Sequence[UUID]) -> tuple[ChargePayment, ...]:
    """Return the orders' charges of which money is kept."""
    listed = await workflow.execute_activity_method(
        PaymentActivities.kept_charges_listed,
        ListKeptCharges(order_ids=tuple(order_ids)),
        task_queue=PAYMENT_TASK_QUEUE,
        start_to_close_timeout=ATTEMPT_TIMEOUT,
        retry_policy=RETRIES,
        summary="list kept charges",
    )
    return listed.charges


async def list_dispatched(order_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the orders whose parcel the carrier has."""
    listed = await workflow.execute_activity_method(
        ShipmentActivities.dispatched_orders_listed,
        ListDispatchedOrders(order_ids=tuple(order_ids)),
        task_queue=SHIPPING_TASK_QUEUE,
        start_to_close_timeout=ATTEMPT_TIMEOUT,
        retry_policy=RETRIES,
        summary="list dispatched orders",
    )
    return set(listed.order_ids)


async def ship_order(order: PlaceOrder, address: Address, number: int) -> ShippingOutcome:
    """Return the shipment's outcome; there is one shipment, however often it is requested."""
    command = ShipOrder(
        order_id=order.order_id,
        address=address,
        number=number,
        items=tuple(
            ParcelItem(sku=line.sku, quantity=line.quantity)
            for line in order.lines
            if line.requires_shipping
        ),
        step_failure_alert_after=order.step_failure_alert_after,
    )
    workflow_id = shipping_workflow_id(command.order_id)
    return await _run_child(
        workflow_id,
        lambda: workflow.execute_child_workflow(
            ShippingWorkflow.run,
            command,
            id=workflow_id,
            task_queue=SHIPPING_TASK_QUEUE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"ship order {command.order_id}",
        ),
        ShippingWorkflow.wake_up.__name__,
        "request the shipment again",
    )


async def execute_refund(refund: RefundPayment) -> RefundOutcome:
    """Return the refund's outcome; there is one refund, however often it is requested."""
    workflow_id = refund_workflow_id(refund.order_id, refund.refund_id)
    return await _run_child(
        workflow_id,
        lambda: workflow.execute_child_workflow(
            RefundWorkflow.run,
            refund,
            id=workflow_id,
            task_queue=PAYMENT_TASK_QUEUE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary="refund a return",
        ),
        RefundWorkflow.wake_up.__name__,
        "request the refund again",
    )


async def _run_child(
    workflow_id: str, start: Callable[[], Awaitable[Result]], wake_up: str, summary: str
) -> Result:
    """Return the outcome of a child workflow that another service has one of.

    The parent may have been reset, or deleted and recovered, while its child was running: the child
    is woken up, and requested again when it has ended. An operator may have terminated it.
    """
    interval = _RESTART_CHILD_AFTER
    while True:
        try:
            return await start()
        except (WorkflowAlreadyStartedError, ChildWorkflowError) as error:
            workflow.logger.warning("child workflow is requested again later", exc_info=error)
            if isinstance(error, WorkflowAlreadyStartedError):
                with suppress(FailureError):  # it has just ended
                    await workflow.get_external_workflow_handle(workflow_id).signal(wake_up)
            await workflow.sleep(interval, summary=summary)
            interval = min(interval * 2, _MAX_RESTART_INTERVAL)


async def cancel_shipment(order_id: UUID) -> CancelShipmentOutcome:
    """Cancel the shipment, whether it exists or not; the shipping service decides the race."""
    return await workflow.execute_activity_method(
        ShipmentActivities.shipment_cancelled,
        CancelShipment(order_id=order_id),
        task_queue=SHIPPING_TASK_QUEUE,
        start_to_close_timeout=ATTEMPT_TIMEOUT,
        retry_policy=RETRIES,
        summary="cancel the shipment",
    )


async def change_shipment_address(order_id: UUID, address: Address) -> ChangeShipmentAddressOutcome:
    """Change the shipment's address; the shipping service decides the race."""
    return await workflow.execute_activity_method(
        ShipmentActivities.shipment_address_changed,
        ChangeShipmentAddress(order_id=order_id, address=address),
        task_queue=SHIPPING_TASK_QUEUE,
        start_to_close_timeout=ATTEMPT_TIMEOUT,
        retry_policy=RETRIES,
        summary="change the shipment's address",
    )


async def find_delivery_status(order_id: UUID) -> DeliveryStatusChanged:
    """Return how far the parcel has come by the carrier's reports to the shipping service."""
    return await workflow.execute_activity_method(
        ShipmentActivities.delivery_status_found,
        FindDeliveryStatus(order_id=order_id),
        task_queue=SHIPPING_TASK_QUEUE,
        start_to_close_timeout=ATTEMPT_TIMEOUT,
        retry_policy=RETRIES,
        summary="find the parcel's last delivery status",
    )


async def retry_shipment(order_id: UUID) -> None:
    """Signal the shipment to retry now; without effect where it has ended."""
    shipment = workflow.get_external_workflow_handle_for(
        ShippingWorkflow.run, shipping_workflow_id(order_id)
    )
    try:
        await shipment.signal(ShippingWorkflow.retry)
    except ApplicationError as error:
        workflow.logger.warning("shipping workflow not found; retry dropped", exc_info=error)


def _is_token_conflict(error: ActivityError) -> bool:
    cause = error.cause
    return isinstance(cause, ApplicationError) and cause.type == PAYMENT_TOKEN_CONFLICT
