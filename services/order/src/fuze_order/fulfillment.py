"""From a paid order to a delivered one: the shipment, its address and its way."""

import asyncio

from temporalio import workflow

from fuze_contracts.address import Address
from fuze_contracts.order import PlaceOrder
from fuze_contracts.order_states import EventType, OrderStatus, WaitingFor
from fuze_contracts.shipping import (
    AddressRejected,
    AlreadyDispatched,
    DeliveryStatus,
    ShipmentCancelled,
    Shipped,
    ShippingOutcome,
)
from fuze_contracts.workflow_ids import shipping_workflow_id
from fuze_order import service_calls
from fuze_order.message_handlers import MessageHandlers
from fuze_order.state import ORDER_SERVICE_ACTOR, OrderState
from fuze_order.step_runner import FollowingEvent, StepRunner


class Fulfillment:
    """The order's shipment, and the steps that depend on it.

    The shipment is a child workflow. A reset forgets its handle and the next step requests it
    again, so the handle never shows whether a shipment exists: the committed status does.
    """

    def __init__(
        self, order: PlaceOrder, state: OrderState, messages: MessageHandlers, steps: StepRunner
    ) -> None:
        self._order = order
        self._state = state
        self._messages = messages
        self._steps = steps
        self._shipment: asyncio.Future[ShippingOutcome] | None = None
        self.is_tracking_over = False
        self._is_recheck_requested = False

    def is_shipment_done(self) -> bool:
        """Whether the shipment that was requested has an outcome."""
        return self._shipment is not None and self._shipment.done()

    async def start(self) -> None:
        """Commit that a shipment may exist, before it is requested."""
        self._shipment = None  # an earlier one has ended with a rejected address
        self._messages.pop_step_failure()
        event, details = self._start_event()
        await self._steps.record(event, details=details)

    def following_event(self) -> FollowingEvent | None:
        """Return what follows the payment at once: the start, unless the order is changed first."""
        if self._messages.has_change() or not self._order.requires_shipping:
            return None
        return self._start_event()

    def _start_event(self) -> FollowingEvent:
        workflow_id = shipping_workflow_id(self._order.order_id)
        return FollowingEvent(EventType.SHIPPING_STARTED, {"workflow_id": workflow_id})

    async def ship(self) -> None:
        """Wait for the shipment's outcome, or for a message that concerns it."""
        self._is_recheck_requested = False
        self._state.set_waiting_for(WaitingFor.SHIPPING, "waiting for the shipping service")
        await self._steps.wait(
            lambda: (
                self.is_shipment_done()
                or self._is_recheck_requested
                or self._messages.has_shipment_message()
            )
        )
        if self.is_shipment_done() or self._is_recheck_requested or self._messages.has_change():
            return
        if failure := self._messages.pop_step_failure():
            await self._steps.flag_for_attention(failure)
        else:
            await self._steps.record_retry()
            await self._steps.run(service_calls.retry_shipment(self._order.order_id))

    async def record_outcome(self) -> None:
        """Commit how the shipment ended."""
        outcome = await self.request_shipment()
        self._state.clear_waiting_for()
        match outcome:
            case Shipped():
                period = self._order.delivery_tracking_period
                await self._steps.record(
                    EventType.ORDER_SHIPPED,
                    actor="shipping-service",
                    tracking_number=outcome.tracking_number,
                    tracking_deadline=workflow.now() + period if period else None,
                    details=outcome.model_dump(mode="json"),
                )
                workflow.metric_meter().create_histogram_timedelta(
                    "fuze_order_time_to_ship", "From the start of an order until it is shipped"
                ).record(workflow.now() - self._state.received_at)
            case AddressRejected():
                rejected = outcome.address or self._address
                await self._steps.record(
                    EventType.CARRIER_REJECTED_ADDRESS,
                    actor="shipping-service",
                    reason=f"the carrier rejected the address: {outcome.code}",
                    details={"code": outcome.code, "address": rejected.model_dump(mode="json")},
                )
            case ShipmentCancelled():
                pending = self._messages.request_system_cancellation(
                    "shipping-service", "the shipment was cancelled"
                )
                await self._steps.record_request(
                    pending,
                    EventType.CANCELLATION_STARTED,
                    reason=pending.request.reason or "cancelled",
                )

    async def await_address(self) -> None:
        """After the carrier rejected an address, wait for another; cancel at the deadline.

        An address that changed before the rejection was known is another one, too. After a reset
        the rejected address may be unknown: then the current one is tried once more.
        """
        if self._state.address != self._state.rejected_address:
            await self.start()
            return
        in_time = await self._steps.wait_until(
            self._messages.has_change,
            WaitingFor.ADDRESS,
            self._state.status_since + self._order.address_timeout,
        )
        if not in_time:
            self._messages.request_system_cancellation(
                ORDER_SERVICE_ACTOR,
                "the carrier rejected the address, and it was not corrected in time",
            )

    async def track_delivery(self) -> None:
        """Wait until the parcel is delivered or returned, or the tracking period is over.

        At its end the shipping service has the last word: a signal is lost if it comes while the
        order has no workflow, or if a reset excludes it.
        """
        in_time = await self._steps.wait_until(
            lambda: self._messages.delivery_status,
            WaitingFor.DELIVERY,
            self._state.tracking_deadline or workflow.now(),
        )
        if not in_time:
            found = await self._steps.run_until_it_succeeds(
                lambda: service_calls.find_delivery_status(self._order.order_id)
            )
            self._messages.report_delivery_status(found)
            self.is_tracking_over = not self._messages.delivery_status
        match self._messages.delivery_status:
            case DeliveryStatus.DELIVERED:
                await self._steps.record(EventType.ORDER_DELIVERED, actor="carrier")
            case DeliveryStatus.RETURNED:
                await self._steps.record(
                    EventType.ORDER_RETURNED, actor="carrier", reason="the parcel was returned"
                )

    async def change_address(self, address: Address) -> bool:
        """Change the shipment's address; False where it is too late."""
        self._state.set_waiting_for(WaitingFor.SHIPPING, "changing the shipment's address")
        outcome = await self._steps.run_until_it_succeeds(
            lambda: service_calls.change_shipment_address(self._order.order_id, address)
        )
        return not isinstance(outcome, AlreadyDispatched)

    async def cancel(self) -> bool:
        """Cancel the shipment, whether it was requested or not; False where it is too late."""
        self._state.set_waiting_for(WaitingFor.SHIPPING, "cancelling the shipment")
        outcome = await self._steps.run_until_it_succeeds(
            lambda: service_calls.cancel_shipment(self._order.order_id)
        )
        return not isinstance(outcome, AlreadyDispatched)

    def recheck_shipment(self) -> None:
        """Forget the child workflow that has closed, so that the shipment is requested again.

        Nothing is dispatched twice: the shipping service has one row for the shipment.
        """
        if self._state.status is OrderStatus.PREPARING and not self.is_shipment_done():
            self._shipment = None
            self._is_recheck_requested = True

    def stop(self) -> None:
        """Cancel the child workflow of a cancelled shipment, so that it ends soon."""
        if self._shipment:
            self._shipment.cancel()

    async def wait_for_end(self) -> None:
        """Wait for the end of the child workflow."""
        if self._shipment:
            await self._steps.wait(self._shipment.done)

    def request_shipment(self) -> asyncio.Future[ShippingOutcome]:
        """Request the shipment, unless it is requested; return its outcome."""
        if not self._shipment:
            number = self._state.shipment_number
            self._shipment = asyncio.ensure_future(
                self._steps.hold_back(service_calls.ship_order(self._order, self._address, number))
            )
        return self._shipment

    @property
    def _address(self) -> Address:
        """The committed address.

        Raises:
            ValidationError: there is none. An order that is shipped is not valid without one.

        """
        return Address.model_validate(self._state.address)
