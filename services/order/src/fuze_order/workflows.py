"""An order's life, from top to bottom."""

import asyncio
from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from fuze_contracts import order, payment, shipping
from fuze_contracts.order import EventType, OrderStatus, PaymentStatus, PlaceOrder, WaitingFor
from fuze_contracts.workflow_ids import shipping_workflow_id
from fuze_order import calls
from fuze_order.asked import Asked
from fuze_order.following import follow
from fuze_order.inbox import OrderInbox
from fuze_order.persistence import persist
from fuze_order.progress import THE_ORDER_SERVICE, OvertakenError


@workflow.defn
class OrderWorkflow(OrderInbox):
    """One order: received, validated, approved, paid, shipped.

    It ends elsewhere as rejected, expired, payment_declined or cancelled. Until its parcel is
    handed to the carrier it can be cancelled, by update, by signal or by Temporal's own
    cancellation: then whatever was taken is given back. `OrderInbox` has what it is told.
    """

    @workflow.init
    def __init__(self, command: PlaceOrder) -> None:
        super().__init__(command)
        self._order = command
        self._pays_with = command.payment_method
        self._payment_token = command.payment_token
        self._charge_attempts = 1
        self._has_asked_for_payment = False
        self._refused_address: shipping.Address | None = None
        self._shipment: asyncio.Future[shipping.ShippingOutcome] | None = None
        self._has_followed = False
        self._has_ended = False

    @workflow.run
    async def run(self, command: PlaceOrder) -> order.OrderResult:
        """Return when the order has ended; a rejected one fails here, its row says why."""
        del command  # held since __init__
        try:
            await self._progress.receive()
            await self._progress.validate()
        except ApplicationError:
            await self._hang_up()
            raise
        while not self._has_ended:
            with suppress(OvertakenError):
                await self._live_on()
        return await self._end()

    async def _live_on(self) -> None:
        """Do what comes next where the order stands."""
        match self._progress.status:
            case OrderStatus.AWAITING_APPROVAL:
                await self._wait_for_approval()
            case OrderStatus.APPROVED:
                await self._charge()
            case OrderStatus.AWAITING_PAYMENT_METHOD:
                await self._wait_for_payment_method()
            case OrderStatus.PAID | OrderStatus.PREPARING:
                await self._ship()
            case OrderStatus.AWAITING_ADDRESS:
                # One that came when the carrier had refused already is another address, too.
                if self._has_another_address() or await self._wait_for_address():
                    await self._ship()
            case OrderStatus.SHIPPED if (
                self._order.delivery_tracking_period and not self._has_followed
            ):
                await follow(
                    self._progress, self._order.delivery_tracking_period, lambda: self._parcel
                )
                self._has_followed = True
            case _ if self._progress.payment_status is PaymentStatus.REFUNDING:
                await self._undo()
            case OrderStatus.CANCELLING:
                await self._finish_cancelling()
            case _:
                self._has_ended = True

    async def _wait_for_approval(self) -> None:
        """Wait until someone decides, or nobody does in time. A cancellation beats an approval."""
        self._approve_small_order(self._order)
        deadline = self._progress.received_at + self._order.approval_timeout
        remind_at = deadline - self._order.approval_reminder_before
        wake_at = remind_at if remind_at > self._progress.received_at else None
        while self._progress.status is OrderStatus.AWAITING_APPROVAL:
            in_time = await self._progress.wait_until(
                lambda: self._approval or self._rejection or self._cancellation or self._addresses,
                WaitingFor.APPROVAL,
                deadline,
                wake_at=wake_at,
            )
            if self._cancellation:
                await self._cancel()
            elif self._rejection:
                await self._decide(self._rejection, EventType.ORDER_REJECTED, "not approved")
            elif self._addresses:
                await self._change_address()
            elif self._approval:
                await self._decide(self._approval, EventType.ORDER_APPROVED)
            elif not in_time and wake_at:
                wake_at = None
                await self._progress.record(EventType.APPROVAL_REMINDER_SENT)
            elif not in_time:
                await self._progress.record(
                    EventType.ORDER_EXPIRED, reason="nobody approved the order in time"
                )

    async def _charge(self) -> None:
        """Take the money, unless the order is cancelled before the outcome is known."""
        if self._cancellation:
            await (self._start_cancelling() if self._has_asked_for_payment else self._cancel())
            return
        self._has_asked_for_payment = True
        self._progress.wait_for(WaitingFor.PAYMENT, f"charging {self._order.total}")
        outcome = await persist(
            self._progress,
            lambda patience: calls.ask_for_payment(self._attempt(), patience),
            name="charge",
            patience=self._order.step_failure_alert_after,
            unless=self._is_cancelled,
            has_news=self._has_new_address,
            hear=self._change_address,
        )
        self._progress.go_on()
        match outcome:
            case None:
                await self._start_cancelling()
            case payment.Charged():
                await self._progress.record(
                    EventType.PAYMENT_CHARGED,
                    actor="payment-service",
                    details=outcome.model_dump(mode="json") | {"amount": str(self._order.total)},
                )
            case payment.Declined():
                await self._progress.record(
                    EventType.PAYMENT_DECLINED,
                    actor="payment-service",
                    reason=f"the payment was declined: {outcome.code}",
                    details={"code": outcome.code, "payment_token": self._payment_token},
                )

    async def _wait_for_payment_method(self) -> None:
        """After a decline, wait until someone offers another method, or nobody does in time."""
        deadline = workflow.now() + self._order.payment_method_timeout
        while self._progress.status is OrderStatus.AWAITING_PAYMENT_METHOD:
            in_time = await self._progress.wait_until(
                lambda: self._payment_method or self._cancellation or self._addresses,
                WaitingFor.PAYMENT_METHOD,
                deadline,
            )
            if self._cancellation:
                await self._cancel()
            elif self._addresses:
                await self._change_address()
            elif self._payment_method:
                await self._change_payment_method(self._payment_method)
            elif not in_time:
                await self._progress.record(
                    EventType.PAYMENT_ABANDONED,
                    reason="the payment was declined, and nobody offered another method in time",
                )

    async def _change_payment_method(self, asked: Asked[order.ChangePaymentMethod]) -> None:
        self._charge_attempts += 1
        committed = await self._progress.record(
            EventType.PAYMENT_METHOD_CHANGED,
            actor=asked.request.actor,
            payment_method=asked.request.payment_method,
            payment_token=payment.default_payment_token(
                self._order.order_id, self._charge_attempts
            ),
        )
        self._pays_with = committed.payment_method
        self._payment_token = committed.payment_token or self._payment_token
        self._has_asked_for_payment = False
        self._payment_method = None
        asked.accept()

    async def _ship(self) -> None:
        """Have the parcel handed over; until then it can be sent elsewhere or be called off."""
        shipment = await self._begin_shipping()
        if shipment is None:
            return
        self._progress.wait_for(WaitingFor.SHIPPING, "the shipping service has the order")
        while await self._is_disturbed_before(shipment):
            if self._is_cancelled():
                if await self._call_off():
                    return
            elif self._has_new_address():
                await self._readdress()
            elif trouble := self._take_trouble():
                await self._progress.call_for_attention(trouble)
            elif self._progress.retry_asked:
                await self._progress.retry()
                await calls.ask_to_retry_shipping(self._order.order_id)
        self._progress.go_on()
        await self._close_shipment(shipment.result())

    async def _is_disturbed_before(
        self, shipment: asyncio.Future[shipping.ShippingOutcome]
    ) -> bool:
        """Wait until the shipment is over, or something comes before that; False once it is over.

        What is over goes first: news that came together with it may come after it in a replay.
        """
        await self._progress.wait(lambda: shipment.done() or self._is_disturbed())
        return not shipment.done()

    async def _begin_shipping(self) -> asyncio.Future[shipping.ShippingOutcome] | None:
        """Return the shipment that is under way, begun if need be; None if the order is stopped.

        One that is over although the order waits for an address is none: an attempt that this
        workflow never heard of has committed how it ended.
        """
        waits = self._progress.status is OrderStatus.AWAITING_ADDRESS
        if self._shipment and not (waits and self._shipment.done()):
            return self._shipment
        while self._has_new_address():
            await self._change_address()
        if self._cancellation:
            await self._start_cancelling()
            return None
        self._shipment = await self._start_shipping()
        return self._shipment

    async def _start_shipping(self) -> asyncio.Future[shipping.ShippingOutcome]:
        if self._progress.status is not OrderStatus.PREPARING:
            await self._progress.record(
                EventType.SHIPPING_STARTED,
                details={"workflow_id": shipping_workflow_id(self._order.order_id)},
            )
        self._take_trouble()  # of an earlier shipment
        return asyncio.ensure_future(calls.ask_for_shipping(self._order, self._address))

    async def _close_shipment(self, outcome: shipping.ShippingOutcome) -> None:
        match outcome:
            case shipping.Shipped():
                self._is_handed_over = True
                await self._progress.record(
                    EventType.ORDER_SHIPPED,
                    actor="shipping-service",
                    tracking_number=outcome.tracking_number,
                    tracking_deadline=self._tracking_deadline(),
                    details=outcome.model_dump(mode="json"),
                )
            case shipping.AddressRejected():
                await self._progress.record(
                    EventType.CARRIER_REJECTED_ADDRESS,
                    actor="shipping-service",
                    reason=f"the carrier refuses the address: {outcome.code}",
                    details={"code": outcome.code},
                )
                self._refused_address = outcome.address
                self._shipment = None
            case shipping.ShipmentCancelled():
                self._cancel_ourselves("shipping-service", "the shipment was cancelled")
                await self._start_cancelling()

    async def _wait_for_address(self) -> bool:
        """After the carrier refused one, wait for another, or give up and give the money back.

        True where there is another.
        """
        deadline = workflow.now() + self._order.address_timeout
        corrected = False
        while self._progress.status is OrderStatus.AWAITING_ADDRESS and not corrected:
            in_time = await self._progress.wait_until(
                lambda: self._addresses or self._cancellation, WaitingFor.ADDRESS, deadline
            )
            if not in_time:
                self._cancel_ourselves(
                    THE_ORDER_SERVICE,
                    "the carrier refuses the address, and nobody corrected it in time",
                )
            if self._cancellation:
                await self._call_off()
            else:
                corrected = await self._change_address()
        return corrected

    def _has_another_address(self) -> bool:
        """Whether the address changed before the order heard that the carrier refuses it."""
        return self._refused_address not in {None, self._address}

    async def _readdress(self) -> None:
        """Send a parcel that is being prepared elsewhere: the shipping service decides."""
        asked = self._addresses[0]
        address = asked.request.address
        if await self._progress.is_valid(address):
            answer = await self._progress.finish(
                calls.ask_to_readdress(self._order.order_id, address)
            )
            if isinstance(answer, shipping.AlreadyDispatched):
                self._addresses.remove(asked)
                asked.refuse(order.TOO_LATE_TO_CHANGE_ADDRESS, "the parcel is being handed over")
                return
        await self._change_address()

    async def _cancel(self) -> None:
        """End an order of which nothing is left to undo."""
        asked = self._cancellation or Asked(order.CancelOrder(actor=THE_ORDER_SERVICE))
        await self._decide(asked, EventType.ORDER_CANCELLED, self._progress.reason or "cancelled")

    async def _call_off(self) -> bool:
        """Cancel while the parcel is being prepared: the shipping service decides."""
        answer = await self._progress.finish(calls.ask_to_call_off(self._order.order_id))
        if isinstance(answer, shipping.AlreadyDispatched) and self._cancellation:
            # Not for good: the carrier may turn out not to have taken it.
            self._cancellation.refuse(order.TOO_LATE_TO_CANCEL, "the parcel is being handed over")
            self._cancellation = None
            return False
        await self._start_cancelling()
        return True

    async def _start_cancelling(self) -> None:
        """Commit that the order is stopped; from here on it only remains to undo."""
        if self._cancellation:
            await self._decide(self._cancellation, EventType.CANCELLATION_STARTED, "cancelled")

    async def _undo(self) -> None:
        """Give back whatever was taken."""
        if self._shipment:
            self._shipment.cancel()
        self._progress.wait_for(WaitingFor.REFUND, f"giving {self._order.total} back")
        outcome = await persist(
            self._progress,
            lambda patience: calls.ask_to_keep_nothing(self._attempt(), patience),
            name="refund",
            patience=self._order.step_failure_alert_after,
        )
        self._progress.go_on()
        match outcome:
            case payment.Refunded():
                await self._progress.record(
                    EventType.PAYMENT_REFUNDED,
                    actor="payment-service",
                    details=outcome.model_dump(mode="json") | {"amount": str(outcome.amount)},
                )
            case _:
                await self._progress.record(EventType.PAYMENT_VOIDED, actor="payment-service")

    async def _finish_cancelling(self) -> None:
        """See the shipment to its end, and only then be cancelled."""
        if shipment := self._shipment:
            with suppress(asyncio.CancelledError):
                await shipment
        await self._cancel()

    async def _end(self) -> order.OrderResult:
        await self._hang_up()
        if self._cancelled_by_temporal and self._progress.status is OrderStatus.CANCELLED:
            raise asyncio.CancelledError
        return self._progress.result()

    def _tracking_deadline(self) -> datetime | None:
        how_long = self._order.delivery_tracking_period
        return workflow.now() + how_long if how_long else None

    def _attempt(self) -> payment.ChargePayment:
        return calls.charge_of(self._order, self._payment_token, self._pays_with)
