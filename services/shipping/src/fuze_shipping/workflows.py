"""The life of a shipment, from top to bottom."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

from fuze_contracts import shipping as contract
from fuze_contracts.shipping import (
    CancelShipment,
    RefreshShipment,
    ShipmentCancelled,
    ShipmentSnapshot,
    ShipOrder,
    ShippingOutcome,
    ShippingStep,
)
from fuze_runtime.step_execution import (
    execute_local_then_remote,
    is_schedule_to_close_timeout,
    last_attempt_error,
    run_to_completion,
)
from fuze_runtime.step_gate import StepGate
from fuze_shipping.activities import ShippingActivities
from fuze_shipping.messages import StepFailureReport
from fuze_shipping.order_reports import OrderReports

_CARRIER_ATTEMPT_TIMEOUT = timedelta(seconds=30)
# No maximum_attempts: an outage of the carrier for a day delays the parcel by a day, no more.
_CARRIER_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)
# Bounded: a webhook may be about a parcel that is not ours.
_WEBHOOK_TIMEOUT = timedelta(minutes=30)
_REPORT_ATTEMPT_TIMEOUT = timedelta(seconds=30)

Dispatch = asyncio.Task[ShippingOutcome]
Result = TypeVar("Result")


@workflow.defn
class ShippingWorkflow(contract.ShippingWorkflow):
    """Dispatch an order's shipment to the carrier, however long the carrier is down.

    A cancellation of the workflow cancels the shipment, unless its row says that it is too late
    (ADR 9).
    """

    @workflow.init
    def __init__(self, command: ShipOrder) -> None:
        self._command = command
        self._step = ShippingStep.DISPATCHING
        self._step_since = workflow.now()
        self._cancel_requested = False
        self._retry_requested = False
        self._report: asyncio.Future[bool] | None = None
        self._gate = StepGate()

    @workflow.run
    async def run(self, command: ShipOrder) -> ShippingOutcome:
        """Return once the shipment is dispatched, rejected or cancelled."""
        del command  # stored by __init__
        self._enter(ShippingStep.DISPATCHING)
        outcome = await self._dispatch_or_cancel()
        self._cancel_report()
        self._enter(ShippingStep(outcome.outcome))
        workflow.logger.info("shipment finished", extra={"outcome": outcome.outcome})
        return outcome

    async def _dispatch_or_cancel(self) -> ShippingOutcome:
        """Retry the dispatch until it succeeds or the shipment is cancelled."""
        dispatch = self._start_dispatch(alert_after=self._command.step_failure_alert_after)
        while True:
            await self._wait_for_completion_or_request(dispatch)
            # Completion first: a replay may deliver a request together with it.
            if dispatch.done():
                try:
                    return dispatch.result()
                except ActivityError as error:
                    if not is_schedule_to_close_timeout(error):
                        raise
                    self._report_step_failure(last_attempt_error(error))
                    dispatch = self._start_dispatch(alert_after=None)
            elif self._cancel_requested:
                self._cancel_requested = False
                if await self._finish(self._cancel_shipment()):
                    await self._finish(_abandon(dispatch))
                    return ShipmentCancelled()
            else:
                self._retry_requested = False
                await self._finish(_abandon(dispatch))
                dispatch = self._start_dispatch(alert_after=self._command.step_failure_alert_after)

    def _start_dispatch(self, *, alert_after: timedelta | None) -> Dispatch:
        """Start the activity; it is retried until `alert_after`, or without a limit for None."""
        return asyncio.ensure_future(
            self._gate.hold_back(
                workflow.execute_activity_method(
                    ShippingActivities.shipment_dispatched,
                    self._command,
                    start_to_close_timeout=_CARRIER_ATTEMPT_TIMEOUT,
                    schedule_to_close_timeout=alert_after,
                    retry_policy=_CARRIER_RETRIES,
                    summary="dispatch the shipment to the carrier",
                )
            )
        )

    async def _cancel_shipment(self) -> bool:
        outcome = await execute_local_then_remote(
            ShippingActivities.shipment_cancelled,
            CancelShipment(order_id=self._command.order_id),
            gate=self._gate,
            summary="cancel the shipment",
        )
        return isinstance(outcome, ShipmentCancelled)

    def _report_step_failure(self, last_error: str | None) -> None:
        """Start to report the failure; the dispatch does not wait until the order is reached."""
        workflow.logger.warning("dispatch keeps failing", extra={"error": last_error})
        self._cancel_report()
        self._report = asyncio.ensure_future(
            workflow.execute_activity_method(
                OrderReports.step_failure_reported,
                StepFailureReport(
                    order_id=self._command.order_id, step="dispatch", last_error=last_error
                ),
                start_to_close_timeout=_REPORT_ATTEMPT_TIMEOUT,
                retry_policy=_CARRIER_RETRIES,
                summary="report the failing dispatch to the order",
            )
        )

    def _cancel_report(self) -> None:
        if self._report:
            self._report.cancel()

    async def _wait_for_completion_or_request(self, dispatch: Dispatch) -> None:
        try:
            await workflow.wait_condition(
                lambda: dispatch.done() or self._cancel_requested or self._retry_requested
            )
        except asyncio.CancelledError:
            self._request_cancellation()

    async def _finish(self, step: Awaitable[Result]) -> Result:
        """Run a step to its end; a cancellation that comes meanwhile is handled after it."""
        return await run_to_completion(step, on_cancel=self._request_cancellation)

    def _request_cancellation(self) -> None:
        self._cancel_requested = True

    def _enter(self, step: ShippingStep) -> None:
        self._step, self._step_since = step, workflow.now()
        workflow.set_current_details(str(step))

    @workflow.signal
    async def retry(self) -> None:
        """Retry the dispatch now, without waiting for the next scheduled attempt."""
        await self._gate.pass_through()
        self._retry_requested = True

    @workflow.signal
    async def wake_up(self) -> None:
        """Run a workflow task, and change nothing."""

    @workflow.query
    def status(self) -> ShipmentSnapshot:
        """Return the shipment's current step."""
        return ShipmentSnapshot(
            order_id=self._command.order_id, step=self._step, step_since=self._step_since
        )


@workflow.defn
class CarrierWebhookWorkflow(contract.CarrierWebhookWorkflow):
    """Process one event of the carrier: refresh the delivery status and report it to the order."""

    @workflow.run
    async def run(self, command: RefreshShipment) -> str:
        """Return the delivery status that the carrier reports now."""
        changed = await workflow.execute_activity_method(
            ShippingActivities.delivery_status_refreshed,
            command,
            start_to_close_timeout=_CARRIER_ATTEMPT_TIMEOUT,
            schedule_to_close_timeout=_WEBHOOK_TIMEOUT,
            retry_policy=_CARRIER_RETRIES,
            summary="fetch the delivery status from the carrier",
        )
        is_reported = await workflow.execute_activity_method(
            OrderReports.delivery_status_reported,
            changed,
            start_to_close_timeout=_REPORT_ATTEMPT_TIMEOUT,
            retry_policy=_CARRIER_RETRIES,
            summary="report the delivery status to the order",
        )
        if not is_reported:
            workflow.logger.info("order has ended; delivery status not reported")
        return changed.status


async def _abandon(dispatch: Dispatch) -> None:
    dispatch.cancel()
    with suppress(ActivityError, asyncio.CancelledError):
        await dispatch
