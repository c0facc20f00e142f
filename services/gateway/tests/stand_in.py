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
    OrderResult,
    OrderSnapshot,
    OrderStatus,
    PaymentStatus,
    WaitingFor,
)
from fuze_contracts.workflow_ids import shipping_workflow_id

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
                id=shipping_workflow_id(command.order_id),
            )
        await workflow.wait_condition(lambda: self._told is not None)
        return OrderResult(
            order_id=command.order_id,
            status=OrderStatus.CANCELLED if self._told == "cancel" else OrderStatus.SHIPPED,
            payment_status=PaymentStatus.NONE,
            reason=self._reason,
        )

    @workflow.signal
    async def approve(self, approval: contract.ApproveOrder = contract.ApproveOrder()) -> None:
        self._told = self._told or f"approve by {approval.actor}"

    @workflow.signal
    async def cancel(self, request: contract.CancelOrder = contract.CancelOrder()) -> None:
        self._told, self._reason = "cancel", request.reason

    @workflow.signal
    async def change_address(self, request: contract.ChangeAddress) -> None:
        self._zip_code = request.address.zip_code

    @workflow.signal
    async def report_step_failure(self, trouble: contract.StepFailure) -> None:
        pass

    @workflow.signal
    async def report_delivery_status(self, parcel: shipping.DeliveryStatusChanged) -> None:
        pass

    @workflow.update
    async def approve_order(self, approval: contract.ApproveOrder) -> OrderSnapshot:
        return self._heard(f"approve by {approval.actor}")

    @approve_order.validator
    def _may_approve(self, approval: contract.ApproveOrder) -> None:
        self._refuse(contract.ALREADY_APPROVED, approval.actor)

    @workflow.update
    async def reject_order(self, request: contract.RejectOrder) -> OrderSnapshot:
        return self._heard(f"reject by {request.actor}: {request.reason}")

    @reject_order.validator
    def _may_reject(self, request: contract.RejectOrder) -> None:
        self._refuse(contract.NOT_AWAITING_APPROVAL, request.actor)

    @workflow.update
    async def cancel_order(self, request: contract.CancelOrder) -> OrderSnapshot:
        return self._heard(f"cancel by {request.actor}: {request.reason}")

    @cancel_order.validator
    def _may_cancel(self, request: contract.CancelOrder) -> None:
        self._refuse(contract.TOO_LATE_TO_CANCEL, request.actor)

    @workflow.update
    async def change_order_address(self, request: contract.ChangeAddress) -> OrderSnapshot:
        return self._heard(f"{request.address.zip_code} by {request.actor}")

    @change_order_address.validator
    def _may_change_address(self, request: contract.ChangeAddress) -> None:
        self._refuse(contract.ADDRESS_INVALID, request.actor)

    @workflow.update
    async def change_payment_method(self, request: contract.ChangePaymentMethod) -> OrderSnapshot:
        return self._heard(f"{request.payment_method} by {request.actor}")

    @change_payment_method.validator
    def _may_change_payment_method(self, request: contract.ChangePaymentMethod) -> None:
        self._refuse(contract.NOT_AWAITING_PAYMENT_METHOD, request.actor)

    @workflow.update
    async def retry_step(self, request: contract.RetryOrder) -> OrderSnapshot:
        return self._heard(f"retry by {request.actor}")

    @retry_step.validator
    def _may_retry(self, request: contract.RetryOrder) -> None:
        self._refuse(contract.NOTHING_TO_RETRY, request.actor)

    def _heard(self, what: str) -> OrderSnapshot:
        return self.status().model_copy(update={"reason": what})

    @staticmethod
    def _refuse(why: str, actor: str) -> None:
        if actor == "nobody":
            raise ApplicationError("not now", type=why, non_retryable=True)

    @workflow.query
    def status(self) -> OrderSnapshot:
        return OrderSnapshot(
            order_id=self._order.order_id,
            status=OrderStatus.AWAITING_APPROVAL,
            payment_status=PaymentStatus.NONE,
            last_seq=2,
            status_since=workflow.info().start_time,
            waiting_for=WaitingFor.APPROVAL,
            deadline=workflow.info().start_time + self._order.approval_timeout,
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
            "shipment_dispatched",
            command,
            start_to_close_timeout=timedelta(seconds=5),
            result_type=shipping.Shipped,
        )

    @workflow.signal
    async def retry(self) -> None:
        pass

    @workflow.query
    def status(self) -> shipping.ShipmentSnapshot:
        return shipping.ShipmentSnapshot(
            order_id=self._order_id,
            step=shipping.ShippingStep.DISPATCHING,
            step_since=workflow.now(),
        )


@activity.defn(name="payment_charged")
async def provider_is_away() -> None:
    raise ApplicationError("the provider is away\n[SQL: SELECT secret]")


@activity.defn(name="shipment_dispatched")
async def carrier_is_away(command: shipping.ShipOrder) -> None:
    del command
    raise ApplicationError("the carrier is away")
