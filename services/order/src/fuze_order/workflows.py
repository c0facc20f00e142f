"""An order's life, from top to bottom."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import (
    ApplicationError,
)

from fuze_contracts import order as contract
from fuze_contracts.order import (
    Approval,
    CancelOrder,
    ChangePaymentMethod,
    EventType,
    LiveStatus,
    OrderResult,
    OrderStatus,
    PaymentStatus,
    PlaceOrder,
    UpdateAddress,
    WaitingFor,
)
from fuze_contracts.payment import (
    Charged,
    ChargePayment,
    Declined,
    default_payment_token,
)
from fuze_contracts.shipping import (
    ParcelItem,
    ShipOrder,
    shipping_workflow_id,
)
from fuze_order import calls
from fuze_order.progress import THE_ORDER_SERVICE, OrderProgress


@workflow.defn
class OrderWorkflow(contract.OrderWorkflow):
    """One order: received, validated, approved, paid, shipped.

    It ends elsewhere as rejected, expired, cancelled or payment_declined. Until it is approved it
    can be cancelled, by signal or by Temporal's own cancellation; from then on it is seen through.
    """

    @workflow.init
    def __init__(self, command: PlaceOrder) -> None:
        self._order = command
        self._address = command.address
        self._progress = OrderProgress(command, asked_to_cancel=self._cancel_from_temporal)
        self._approval: Approval | None = None
        self._cancellation: CancelOrder | None = None
        self._cancelled_by_temporal = False
        self._new_addresses: list[UpdateAddress] = []
        self._payment_method = command.payment_method
        self._payment_token = command.payment_token
        self._charge_attempts = 1
        self._new_payment_method: ChangePaymentMethod | None = None

    @workflow.run
    async def run(self, command: PlaceOrder) -> OrderResult:
        """Return when the order has ended; a rejected one fails here, its row says why."""
        del command  # held since __init__, where the handlers need it
        await self._progress.receive()
        await self._progress.validate()
        await self._wait_for_approval()
        while self._progress.status is OrderStatus.APPROVED:
            await self._charge()
            await self._wait_for_payment_method()
        if self._progress.status is OrderStatus.PAID:
            await self._ship()
        return await self._end()

    async def _wait_for_approval(self) -> None:
        """Wait until someone decides, or nobody does in time. A cancellation beats an approval."""
        deadline = self._progress.received_at + self._order.approval_timeout
        while self._progress.status is OrderStatus.AWAITING_APPROVAL:
            in_time = await self._progress.wait_until(
                lambda: self._approval or self._cancellation or self._new_addresses,
                WaitingFor.APPROVAL,
                deadline,
            )
            if self._cancellation:
                await self._cancel(self._cancellation)
            elif self._new_addresses:
                await self._change_address(self._new_addresses.pop(0))
            elif self._approval:
                await self._approve(self._approval)
            elif not in_time:
                await self._expire()

        # The cancellation may have come while the approval was being written: no money has moved.
        if self._progress.status is OrderStatus.APPROVED and self._cancellation:
            await self._cancel(self._cancellation)

    async def _approve(self, approval: Approval) -> None:
        await self._progress.record(
            EventType.ORDER_APPROVED,
            OrderStatus.APPROVED,
            PaymentStatus.PENDING,
            actor=approval.actor,
        )

    async def _change_address(self, request: UpdateAddress) -> None:
        committed = await self._progress.record(
            EventType.ADDRESS_UPDATED,
            self._progress.status,
            self._progress.payment_status,
            actor=request.actor,
            reason=self._progress.reason,
            address=request.address,
        )
        if committed.type is EventType.ADDRESS_UPDATED and committed.address:
            self._address = committed.address

    async def _cancel(self, request: CancelOrder) -> None:
        await self._progress.record(
            EventType.ORDER_CANCELLED,
            OrderStatus.CANCELLED,
            PaymentStatus.DECLINED
            if self._progress.payment_status is PaymentStatus.DECLINED
            else PaymentStatus.NONE,
            actor=request.actor,
            reason=request.reason or "cancelled",
        )

    async def _expire(self) -> None:
        await self._progress.record(
            EventType.ORDER_EXPIRED,
            OrderStatus.EXPIRED,
            self._progress.payment_status,
            actor=THE_ORDER_SERVICE,
            reason="nobody approved the order in time",
        )

    async def _charge(self) -> None:
        self._progress.wait_for(WaitingFor.PAYMENT, f"charging {self._order.total}")
        outcome = await self._progress.finish(
            calls.ask_for_payment(
                ChargePayment(
                    order_id=self._order.order_id,
                    payment_token=self._payment_token,
                    amount=self._order.total,
                    payment_method=self._payment_method,
                )
            )
        )
        self._progress.go_on()
        match outcome:
            case Charged():
                await self._progress.record(
                    EventType.PAYMENT_CHARGED,
                    OrderStatus.PAID,
                    PaymentStatus.CHARGED,
                    actor="payment-service",
                    details={
                        "payment_id": str(outcome.payment_id),
                        "provider_reference": outcome.provider_reference,
                        "amount": str(self._order.total),
                    },
                )
            case Declined():
                await self._progress.record(
                    EventType.PAYMENT_DECLINED,
                    OrderStatus.AWAITING_PAYMENT_METHOD,
                    PaymentStatus.DECLINED,
                    actor="payment-service",
                    reason=f"the payment was declined: {outcome.code}",
                    details={"code": outcome.code, "payment_token": self._payment_token},
                )

    async def _wait_for_payment_method(self) -> None:
        """After a decline, wait until someone offers another method, or nobody does in time."""
        deadline = workflow.now() + self._order.payment_method_timeout
        while self._progress.status is OrderStatus.AWAITING_PAYMENT_METHOD:
            in_time = await self._progress.wait_until(
                lambda: self._new_payment_method or self._cancellation or self._new_addresses,
                WaitingFor.PAYMENT_METHOD,
                deadline,
            )
            if self._cancellation:
                await self._cancel(self._cancellation)
            elif self._new_addresses:
                await self._change_address(self._new_addresses.pop(0))
            elif self._new_payment_method:
                await self._change_payment_method(self._new_payment_method)
            elif not in_time:
                await self._give_up()

    async def _change_payment_method(self, request: ChangePaymentMethod) -> None:
        self._charge_attempts += 1
        committed = await self._progress.record(
            EventType.PAYMENT_METHOD_CHANGED,
            OrderStatus.APPROVED,
            PaymentStatus.PENDING,
            actor=request.actor,
            payment_method=request.payment_method,
            payment_token=default_payment_token(self._order.order_id, self._charge_attempts),
        )
        self._new_payment_method = None
        self._payment_method = committed.payment_method
        self._payment_token = committed.payment_token or self._payment_token

    async def _give_up(self) -> None:
        await self._progress.record(
            EventType.PAYMENT_GIVEN_UP,
            OrderStatus.PAYMENT_DECLINED,
            PaymentStatus.DECLINED,
            actor=THE_ORDER_SERVICE,
            reason="the payment was declined, and nobody offered another method in time",
        )

    async def _ship(self) -> None:
        while self._new_addresses:
            await self._change_address(self._new_addresses.pop(0))
        await self._progress.record(
            EventType.SHIPPING_STARTED,
            OrderStatus.PREPARING,
            self._progress.payment_status,
            actor=THE_ORDER_SERVICE,
            details={"workflow_id": shipping_workflow_id(self._order.order_id)},
        )
        self._progress.wait_for(WaitingFor.SHIPPING, "the shipping service has the order")
        shipped = await self._progress.finish(
            calls.ask_for_shipping(
                ShipOrder(
                    order_id=self._order.order_id,
                    address=self._address,
                    items=tuple(
                        ParcelItem(sku=line.sku, quantity=line.quantity)
                        for line in self._order.lines
                    ),
                )
            )
        )
        self._progress.go_on()
        await self._progress.record(
            EventType.ORDER_SHIPPED,
            OrderStatus.SHIPPED,
            self._progress.payment_status,
            actor="shipping-service",
            tracking_number=shipped.tracking_number,
            details={"carrier": shipped.carrier, "tracking_number": shipped.tracking_number},
        )

    async def _end(self) -> OrderResult:
        workflow.set_current_details(f"ended: {self._progress.status}")
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._cancelled_by_temporal and self._progress.status is OrderStatus.CANCELLED:
            raise asyncio.CancelledError
        return self._progress.result()

    @workflow.signal
    async def approve(self, approval: Approval = Approval()) -> None:
        """Let a waiting order proceed; without effect once it does, or has ended."""
        self._approval = self._approval or approval

    @workflow.signal
    async def cancel(self, request: CancelOrder = CancelOrder()) -> None:
        """Stop a waiting order; without effect once it is approved, or has ended."""
        self._cancellation = self._cancellation or request

    @workflow.signal
    async def update_address(self, request: UpdateAddress) -> None:
        """Send the parcel elsewhere; without effect once it is being prepared."""
        self._new_addresses.append(request)

    @workflow.update
    async def change_payment_method(  # type: ignore[override] # the SDK types a handler by its class
        self, request: ChangePaymentMethod
    ) -> None:
        """Try again with another payment method."""
        self._new_payment_method = request

    @change_payment_method.validator
    def _may_change_payment_method(self, request: ChangePaymentMethod) -> None:
        del request
        awaited = self._progress.status is OrderStatus.AWAITING_PAYMENT_METHOD
        if not awaited or self._new_payment_method:
            raise ApplicationError(
                "the order does not wait for a payment method",
                type=contract.NOT_AWAITING_PAYMENT_METHOD,
                non_retryable=True,
            )

    @workflow.query
    def status(self) -> LiveStatus:
        """Say where the order stands now."""
        return self._progress.live_status()

    def _cancel_from_temporal(self) -> None:
        self._cancelled_by_temporal = True
        self._cancellation = self._cancellation or CancelOrder(
            actor="temporal", reason="cancelled through Temporal"
        )
