"""Stands in for the services behind the gateway, over their contracts."""

import contextlib
from collections.abc import Callable
from datetime import timedelta

import httpx
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from fuze_contracts import order as contract
from fuze_contracts import shipping
from fuze_contracts.order import (
    ORDER_REJECTED,
    LiveStatus,
    OrderResult,
    OrderStatus,
    PaymentStatus,
    WaitingFor,
)

Serve = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]
"""Serves the gateway over any mix of sources and settings, for the length of a block."""


@workflow.defn
class OrderWorkflow(contract.OrderWorkflow):
    """An order that waits until it is told something, and remembers what."""

    @workflow.init
    def __init__(self, command: contract.PlaceOrder) -> None:
        self._order = command
        self._told: str | None = None
        self._reason: str | None = None
        self._zip_code = command.address.zip_code

    @workflow.run
    async def run(self, command: contract.PlaceOrder) -> OrderResult:
        if command.address.zip_code == "REJECT":
            raise ApplicationError("bad zip code", type=ORDER_REJECTED, non_retryable=True)
        if command.address.zip_code == "STUCK":
            await workflow.execute_activity(
                "payment_charged", start_to_close_timeout=timedelta(seconds=5)
            )
        if command.address.zip_code == "CHILD":
            await workflow.execute_child_workflow(
                ShippingWorkflow.run,
                shipping.ShipOrder(order_id=command.order_id, address=command.address),
                id=shipping.shipping_workflow_id(command.order_id),
            )
        await workflow.wait_condition(lambda: self._told is not None)
        return OrderResult(
            order_id=command.order_id,
            status=OrderStatus.CANCELLED if self._told == "cancel" else OrderStatus.SHIPPED,
            payment_status=PaymentStatus.NONE,
            reason=self._reason,
        )

    @workflow.signal
    async def approve(self, approval: contract.Approval = contract.Approval()) -> None:
        self._told = self._told or f"approve by {approval.actor}"

    @workflow.signal
    async def cancel(self, request: contract.CancelOrder = contract.CancelOrder()) -> None:
        self._told, self._reason = "cancel", request.reason

    @workflow.signal
    async def update_address(self, request: contract.UpdateAddress) -> None:
        self._zip_code = request.address.zip_code

    @workflow.update
    async def change_payment_method(self, request: contract.ChangePaymentMethod) -> None:
        self._reason = request.payment_method

    @change_payment_method.validator
    def _refuse(self, request: contract.ChangePaymentMethod) -> None:
        if request.payment_method == "pm_refused":
            raise ApplicationError("not now", type=contract.NOT_AWAITING_PAYMENT_METHOD)

    @workflow.query
    def status(self) -> LiveStatus:
        return LiveStatus(
            order_id=self._order.order_id,
            status=OrderStatus.AWAITING_APPROVAL,
            payment_status=PaymentStatus.NONE,
            last_seq=2,
            since=workflow.info().start_time,
            waiting_for=WaitingFor.APPROVAL,
            until=workflow.info().start_time + self._order.approval_timeout,
            last_error="first line\nsecond line",
            reason=self._zip_code,
        )


@workflow.defn
class ShippingWorkflow(shipping.ShippingWorkflow):
    """A shipment whose carrier is away."""

    @workflow.init
    def __init__(self, command: shipping.ShipOrder) -> None:
        self._order_id = command.order_id

    @workflow.run
    async def run(self, command: shipping.ShipOrder) -> shipping.Shipped:
        return await workflow.execute_activity(
            "carrier_dispatched",
            command,
            start_to_close_timeout=timedelta(seconds=5),
            result_type=shipping.Shipped,
        )

    @workflow.query
    def status(self) -> shipping.ShippingStatus:
        return shipping.ShippingStatus(
            order_id=self._order_id, step=shipping.ShippingStep.DISPATCHING, since=workflow.now()
        )


@activity.defn(name="payment_charged")
async def provider_is_away() -> None:
    raise ApplicationError("the provider is away\n[SQL: SELECT secret]")


@activity.defn(name="carrier_dispatched")
async def carrier_is_away(command: shipping.ShipOrder) -> None:
    del command
    raise ApplicationError("the carrier is away")
