"""A shipment's life, from top to bottom."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

from fuze_contracts import shipping as contract
from fuze_contracts.order import OrderWorkflow, StepFailure
from fuze_contracts.shipping import (
    AddressRejected,
    AlreadyDispatched,
    CancelShipment,
    RefreshShipment,
    ShipmentCancelled,
    ShipmentSnapshot,
    ShipOrder,
    Shipped,
    ShippingOutcome,
    ShippingStep,
)
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_runtime.step_execution import (
    execute_local_then_remote,
    is_schedule_to_close_timeout,
    last_attempt_error,
    run_to_completion,
)
from fuze_shipping.activities import ShippingActivities
from fuze_shipping.messages import DispatchShipment, PrepareShipment
from fuze_shipping.rules import shipment_id

_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_EVENT_TIMEOUT = timedelta(minutes=30)
# Without a limit: a carrier that is down for a day delays the parcel by a day, no more.
_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)


@workflow.defn
class ShippingWorkflow(contract.ShippingWorkflow):
    """Prepare an order's package and hand it to the carrier, however long the carrier is away.

    Cancelling it calls the shipment off, unless the parcel is being handed over: the shipment's
    row decides.
    """

    @workflow.init
    def __init__(self, command: ShipOrder) -> None:
        self._order = command
        self._shipment_id = shipment_id(command.order_id)
        self._step = ShippingStep.PREPARING
        self._step_since = workflow.now()
        self._asked_to_cancel = False
        self._asked_to_retry = False

    @workflow.run
    async def run(self, command: ShipOrder) -> ShippingOutcome:
        """Return once the carrier has the parcel or refuses it, or the shipment is called off."""
        del command  # held since __init__, where the handlers need it
        await run_to_completion(self._prepare(), on_cancel=self._cancel)
        outcome = await self._dispatch()
        match outcome:
            case Shipped():
                self._enter(ShippingStep.SHIPPED)
            case AddressRejected():
                self._enter(ShippingStep.ADDRESS_REJECTED)
            case ShipmentCancelled():
                self._enter(ShippingStep.CANCELLED)
        workflow.logger.info(outcome.outcome, extra={"step": self._step})
        return outcome

    async def _prepare(self) -> None:
        await execute_local_then_remote(
            ShippingActivities.shipment_prepared,
            PrepareShipment(
                shipment_id=self._shipment_id, order=self._order, occurred_at=workflow.now()
            ),
            summary="package prepared",
        )

    async def _dispatch(self) -> ShippingOutcome:
        """Hand over, for as long as it takes; the order hears of it when it takes too long."""
        self._enter(ShippingStep.DISPATCHING)
        attempt = self._hand_over(self._order.step_failure_alert_after)
        while True:
            await self._wait(attempt)
            if attempt.done():
                try:
                    return attempt.result()
                except ActivityError as error:
                    if not is_schedule_to_close_timeout(error):
                        raise
                    await self._report_trouble(last_attempt_error(error))
                    attempt = self._hand_over(None)
            elif self._asked_to_cancel:
                self._asked_to_cancel = False
                if await run_to_completion(self._call_off(), on_cancel=self._cancel):
                    await _drop(attempt)
                    return ShipmentCancelled()
            else:
                self._asked_to_retry = False
                await _drop(attempt)
                attempt = self._hand_over(self._order.step_failure_alert_after)

    def _hand_over(self, patience: timedelta | None) -> asyncio.Task[ShippingOutcome]:
        return asyncio.ensure_future(
            workflow.execute_activity_method(
                ShippingActivities.shipment_dispatched,
                DispatchShipment(shipment_id=self._shipment_id, order=self._order),
                start_to_close_timeout=_ATTEMPT_TIMEOUT,
                schedule_to_close_timeout=patience,
                retry_policy=_RETRIES,
                summary="hand the parcel to the carrier",
            )
        )

    async def _call_off(self) -> bool:
        answer = await execute_local_then_remote(
            ShippingActivities.shipment_cancelled,
            CancelShipment(order_id=self._order.order_id),
            summary="call the shipment off",
        )
        return not isinstance(answer, AlreadyDispatched)

    async def _report_trouble(self, last_error: str | None) -> None:
        order = workflow.get_external_workflow_handle_for(
            OrderWorkflow.run, order_workflow_id(self._order.order_id)
        )
        trouble = StepFailure(step="hand-over", last_error=last_error)
        workflow.logger.warning("the hand-over keeps failing", extra={"error": last_error})
        try:
            await order.signal(OrderWorkflow.report_step_failure, trouble)
        except ApplicationError as unheard:
            workflow.logger.warning("no order hears of it", exc_info=unheard)

    async def _wait(self, attempt: asyncio.Task[ShippingOutcome]) -> None:
        """Wait for the attempt, or for someone to disturb it."""
        try:
            await workflow.wait_condition(
                lambda: attempt.done() or self._asked_to_cancel or self._asked_to_retry
            )
        except asyncio.CancelledError:
            self._cancel()

    @workflow.signal
    async def retry(self) -> None:
        """Try the hand-over now, without waiting for its next attempt."""
        self._asked_to_retry = True

    @workflow.query
    def status(self) -> ShipmentSnapshot:
        """Say where the shipment stands now."""
        return ShipmentSnapshot(
            order_id=self._order.order_id, step=self._step, step_since=self._step_since
        )

    def _enter(self, step: ShippingStep) -> None:
        self._step, self._step_since = step, workflow.now()
        workflow.set_current_details(str(step))

    def _cancel(self) -> None:
        self._asked_to_cancel = True


@workflow.defn
class CarrierWebhookWorkflow(contract.CarrierWebhookWorkflow):
    """Follow one event of the carrier up, and tell the order that waits for it."""

    @workflow.run
    async def run(self, command: RefreshShipment) -> str:
        """Return the state that the parcel is in after the carrier was asked."""
        tracked = await workflow.execute_activity_method(
            ShippingActivities.delivery_status_refreshed,
            command,
            start_to_close_timeout=_ATTEMPT_TIMEOUT,
            # Not without end: an event may be about a parcel that is not ours.
            schedule_to_close_timeout=_EVENT_TIMEOUT,
            retry_policy=_RETRIES,
            summary="ask how far the parcel has come",
        )
        order = workflow.get_external_workflow_handle_for(
            OrderWorkflow.run, order_workflow_id(tracked.order_id)
        )
        try:
            await order.signal(OrderWorkflow.report_delivery_status, tracked)
        except ApplicationError:
            workflow.logger.info("the order does not follow its parcel")
        return tracked.status


async def _drop(attempt: asyncio.Task[ShippingOutcome]) -> None:
    attempt.cancel()
    with suppress(ActivityError, asyncio.CancelledError):
        await attempt
