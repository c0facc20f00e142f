"""An order's life, from top to bottom."""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
)

from fuze_contracts import order as contract
from fuze_contracts.order import (
    Approval,
    CancelOrder,
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
    PAYMENT_TASK_QUEUE,
    PAYMENT_TOKEN_CONFLICT,
    Charged,
    ChargeOutcome,
    ChargePayment,
    Declined,
    PaymentActivities,
)
from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    ParcelItem,
    ShipOrder,
    Shipped,
    ShippingWorkflow,
    shipping_workflow_id,
)
from fuze_order.progress import THE_ORDER_SERVICE, OrderProgress

_ASK_AGAIN_FOR_SHIPPING = timedelta(seconds=30)
_CHARGE_ATTEMPT_TIMEOUT = timedelta(seconds=30)
_CHARGE_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=30)
)


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

    @workflow.run
    async def run(self, command: PlaceOrder) -> OrderResult:
        """Return when the order has ended; a rejected one fails here, its row says why."""
        del command  # held since __init__, where the handlers need it
        await self._progress.receive()
        await self._progress.validate()
        await self._wait_for_approval()
        if self._progress.status is OrderStatus.APPROVED:
            charge = await self._charge()
            if isinstance(charge, Charged):
                await self._ship()
        return await self._end()

    async def _wait_for_approval(self) -> None:
        """Wait until someone decides, or nobody does in time. A cancellation beats an approval."""
        deadline = self._progress.received_at + self._order.approval_timeout
        while self._progress.status is OrderStatus.AWAITING_APPROVAL:
            self._progress.wait_for(
                WaitingFor.APPROVAL,
                f"waiting for approval until {deadline:%Y-%m-%d %H:%M} UTC",
                until=deadline,
            )
            expired = not await self._decided_before(deadline)
            self._progress.go_on()

            if self._cancellation:
                await self._cancel(self._cancellation)
            elif self._new_addresses:
                await self._change_address(self._new_addresses.pop(0))
            elif self._approval:
                await self._approve(self._approval)
            elif expired:
                await self._expire()

        # The cancellation may have come while the approval was being written: no money has moved.
        if self._progress.status is OrderStatus.APPROVED and self._cancellation:
            await self._cancel(self._cancellation)

    async def _decided_before(self, deadline: datetime) -> bool:
        def decided() -> bool:
            return bool(self._approval or self._cancellation or self._new_addresses)

        try:
            await workflow.wait_condition(
                decided,
                timeout=max(deadline - workflow.now(), timedelta(0)),
                timeout_summary="approval deadline",
            )
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self._cancel_from_temporal()
        return True

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
            address=request.address,
        )
        if committed.type is EventType.ADDRESS_UPDATED and committed.address:
            self._address = committed.address

    async def _cancel(self, request: CancelOrder) -> None:
        await self._progress.record(
            EventType.ORDER_CANCELLED,
            OrderStatus.CANCELLED,
            PaymentStatus.NONE,
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

    async def _charge(self) -> ChargeOutcome:
        self._progress.wait_for(WaitingFor.PAYMENT, f"charging {self._order.total}")
        outcome = await self._progress.finish(self._ask_for_payment())
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
                    OrderStatus.PAYMENT_DECLINED,
                    PaymentStatus.DECLINED,
                    actor="payment-service",
                    reason=f"the payment was declined: {outcome.code}",
                    details={"code": outcome.code},
                )
        return outcome

    async def _ask_for_payment(self) -> ChargeOutcome:
        try:
            return await workflow.execute_activity_method(
                PaymentActivities.payment_charged,
                ChargePayment(
                    order_id=self._order.order_id,
                    payment_token=self._order.payment_token,
                    amount=self._order.total,
                    payment_method=self._order.payment_method,
                ),
                task_queue=PAYMENT_TASK_QUEUE,
                start_to_close_timeout=_CHARGE_ATTEMPT_TIMEOUT,
                retry_policy=_CHARGE_RETRIES,
                summary=f"charge {self._order.total}",
            )
        except ActivityError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError) and cause.type == PAYMENT_TOKEN_CONFLICT:
                return Declined(code="payment_token_conflict")
            raise

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
        shipped = await self._progress.finish(self._ask_for_shipping())
        self._progress.go_on()
        await self._progress.record(
            EventType.ORDER_SHIPPED,
            OrderStatus.SHIPPED,
            self._progress.payment_status,
            actor="shipping-service",
            tracking_number=shipped.tracking_number,
            details={"carrier": shipped.carrier, "tracking_number": shipped.tracking_number},
        )

    async def _ask_for_shipping(self) -> Shipped:
        """Ask until the parcel is with the carrier; the shipment is made once, however often."""
        while True:
            try:
                return await workflow.execute_child_workflow(
                    ShippingWorkflow.run,
                    ShipOrder(
                        order_id=self._order.order_id,
                        address=self._address,
                        items=tuple(
                            ParcelItem(sku=line.sku, quantity=line.quantity)
                            for line in self._order.lines
                        ),
                    ),
                    id=shipping_workflow_id(self._order.order_id),
                    task_queue=SHIPPING_TASK_QUEUE,
                    parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                    static_summary=f"ship order {self._order.order_id}",
                )
            except (WorkflowAlreadyStartedError, ChildWorkflowError) as error:
                # This order was reset while its shipment went on, or an operator ended that one.
                workflow.logger.warning("the shipment is asked for again", exc_info=error)
                await workflow.sleep(_ASK_AGAIN_FOR_SHIPPING, summary="ask again for the shipment")

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

    @workflow.query
    def status(self) -> LiveStatus:
        """Say where the order stands now."""
        return self._progress.live_status()

    def _cancel_from_temporal(self) -> None:
        self._cancelled_by_temporal = True
        self._cancellation = self._cancellation or CancelOrder(
            actor="temporal", reason="cancelled through Temporal"
        )
