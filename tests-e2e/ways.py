"""Every way through an order's life, walked on a running stack."""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.service import RPCError

from fuze_contracts.order import (
    ORDER_TASK_QUEUE,
    Approval,
    CancelOrder,
    ChangePaymentMethod,
    OrderLine,
    OrderResult,
    OrderStatus,
    OrderWorkflow,
    PlaceOrder,
    RejectOrder,
    RetryOrder,
    UpdateAddress,
    order_workflow_id,
)
from fuze_contracts.shipping import Address

Handle = WorkflowHandle[OrderWorkflow, OrderResult]

_CHANGED_MIND = CancelOrder(actor="ada", reason="changed my mind")
_ELSEWHERE = UpdateAddress(address=Address(zip_code="94105"), actor="ada")
_NOWHERE = UpdateAddress(address=Address(zip_code="NOWHERE"), actor="ada")
_REFUSED = Address(zip_code="10001", line1="refused")


class Ways:
    """Every way through an order's life; each is named as its file is."""

    def __init__(self, client: Client, sandbox: httpx.AsyncClient) -> None:
        self._client = client
        self._sandbox = sandbox

    async def shipped(self) -> Handle:
        return await self._approved()

    async def shipped_free(self) -> Handle:
        return await self._approved(lines=())

    async def shipped_without_approval(self) -> Handle:
        return await self._place(auto_approve_up_to=5997)

    async def rejected(self) -> Handle:
        return await self._place(address=Address(zip_code="NOWHERE"))

    async def rejected_by_a_person(self) -> Handle:
        order = await self._waiting()
        await order.execute_update(OrderWorkflow.reject_order, RejectOrder(actor="grace"))
        return order

    async def expired(self) -> Handle:
        return await self._place(approval_timeout=timedelta(seconds=1))

    async def expired_after_a_reminder(self) -> Handle:
        return await self._place(
            approval_timeout=timedelta(seconds=2), approval_reminder=timedelta(seconds=1)
        )

    async def approved_by_update(self) -> Handle:
        order = await self._waiting()
        await order.execute_update(OrderWorkflow.approve_order, Approval(actor="grace"))
        return order

    async def payment_declined(self) -> Handle:
        return await self._approved(
            payment_method="pm_declined", payment_method_timeout=timedelta(seconds=1)
        )

    async def paid_otherwise(self) -> Handle:
        order = await self._approved(payment_method="pm_declined")
        await _until(order, "payment_method")
        change = ChangePaymentMethod(payment_method="pm_card_visa")
        await order.execute_update(OrderWorkflow.change_payment_method, change)
        return order

    async def cancelled(self) -> Handle:
        order = await self._waiting()
        await order.signal(OrderWorkflow.cancel, _CHANGED_MIND)
        return order

    async def cancelled_by_temporal(self) -> Handle:
        order = await self._waiting()
        await order.cancel()
        return order

    async def cancelled_after_a_decline(self) -> Handle:
        order = await self._approved(payment_method="pm_declined")
        await _until(order, "payment_method")
        await order.execute_update(OrderWorkflow.cancel_order, _CHANGED_MIND)
        return order

    async def cancelled_while_charging(self) -> Handle:
        await self._control("psp", available=False)
        order = await self._approved()
        await _until(order, "payment")
        await order.execute_update(OrderWorkflow.cancel_order, _CHANGED_MIND)
        await self._control("psp")
        return order

    async def cancelled_while_preparing(self) -> Handle:
        order = await self._preparing()
        await order.execute_update(OrderWorkflow.cancel_order, _CHANGED_MIND)
        await self._control("carrier")
        return order

    async def cancelled_by_temporal_while_charging(self) -> Handle:
        await self._control("psp", available=False)
        order = await self._approved()
        await _until(order, "payment")
        await order.cancel()
        while (await order.query(OrderWorkflow.status)).status is OrderStatus.APPROVED:
            await asyncio.sleep(0.1)
        await self._control("psp")
        return order

    async def cancelled_by_temporal_while_preparing(self) -> Handle:
        order = await self._preparing()
        await order.cancel()
        while (await order.query(OrderWorkflow.status)).status is OrderStatus.PREPARING:
            await asyncio.sleep(0.1)
        await self._control("carrier")
        return order

    async def cancelled_through_its_shipment(self) -> Handle:
        order = await self._preparing()
        await self._client.get_workflow_handle(order.id.replace("order/", "shipping/")).cancel()
        while (await order.query(OrderWorkflow.status)).status is OrderStatus.PREPARING:
            await asyncio.sleep(0.1)
        await self._control("carrier")
        return order

    async def cancelled_too_late(self) -> Handle:
        await self._control("carrier", hold="before_write")
        order = await self._approved()
        while not (await self._sandbox.get("/control/carrier")).json()["held"]:
            await asyncio.sleep(0.1)
        await _refused(order, OrderWorkflow.cancel_order, _CHANGED_MIND)
        await self._control("carrier")
        return order

    async def refund_needs_attention(self) -> Handle:
        order = await self._preparing(attention_after=timedelta(seconds=2))
        await self._control("psp", available=False)
        await order.execute_update(OrderWorkflow.cancel_order, _CHANGED_MIND)
        await _until_attention(order)
        await self._control("psp")
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        await self._control("carrier")
        return order

    async def hand_over_needs_attention(self) -> Handle:
        order = await self._preparing(attention_after=timedelta(seconds=2))
        await _until_attention(order)
        await self._control("carrier")
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        return order

    async def address_updated(self) -> Handle:
        order = await self._waiting()
        await order.signal(OrderWorkflow.update_address, _ELSEWHERE)
        await order.signal(OrderWorkflow.approve)
        return order

    async def readdressed_while_preparing(self) -> Handle:
        order = await self._preparing()
        await order.execute_update(OrderWorkflow.change_address, _ELSEWHERE)
        await self._control("carrier")
        return order

    async def readdressed_too_late(self) -> Handle:
        await self._control("carrier", hold="before_write")
        order = await self._approved()
        while not (await self._sandbox.get("/control/carrier")).json()["held"]:
            await asyncio.sleep(0.1)
        await _refused(order, OrderWorkflow.change_address, _ELSEWHERE)
        await self._control("carrier")
        return order

    async def readdressed_while_charging(self) -> Handle:
        await self._control("psp", available=False)
        order = await self._approved()
        await _until(order, "payment")
        await order.execute_update(OrderWorkflow.change_address, _ELSEWHERE)
        await self._control("psp")
        return order

    async def address_refused(self) -> Handle:
        order = await self._waiting()
        await _refused(order, OrderWorkflow.change_address, _NOWHERE)
        await order.signal(OrderWorkflow.approve)
        return order

    async def address_refused_while_preparing(self) -> Handle:
        order = await self._preparing()
        await _refused(order, OrderWorkflow.change_address, _NOWHERE)
        await self._control("carrier")
        return order

    async def cancelled_while_awaiting_an_address(self) -> Handle:
        order = await self._approved(address=_REFUSED)
        await _until(order, "address")
        await order.execute_update(OrderWorkflow.cancel_order, _CHANGED_MIND)
        return order

    async def address_corrected(self) -> Handle:
        order = await self._approved(address=_REFUSED)
        await _until(order, "address")
        await order.execute_update(OrderWorkflow.change_address, _ELSEWHERE)
        return order

    async def address_never_corrected(self) -> Handle:
        return await self._approved(address=_REFUSED, address_timeout=timedelta(seconds=1))

    async def charge_needs_attention(self) -> Handle:
        await self._control("psp", available=False)
        order = await self._approved(attention_after=timedelta(seconds=2))
        await _until_attention(order)
        await self._control("psp")
        await order.execute_update(OrderWorkflow.retry_step, RetryOrder(actor="grace"))
        return order

    async def token_of_another_order(self) -> Handle:
        """A payment token that another order has used declines this one's charge."""
        other = await self._approved()
        await other.result()
        order = await self._approved(payment_token=f"{other.id.removeprefix('order/')}:1")
        await _until(order, "payment_method")
        await order.execute_update(OrderWorkflow.cancel_order, _CHANGED_MIND)
        return order

    async def never_heard_of_again(self) -> Handle:
        return await self._approved(follow_parcel_for=timedelta(seconds=1))

    async def delivered(self) -> Handle:
        return await self._reported("delivered")

    async def returned(self) -> Handle:
        return await self._reported("returned")

    async def _reported(self, state: str) -> Handle:
        """An order that follows its parcel, of which the carrier reports the end."""
        order = await self._approved(follow_parcel_for=timedelta(days=30))
        await _until(order, "delivery")
        query = {"order_id": order.id.removeprefix("order/")}
        [parcel] = (await self._sandbox.get("/carrier/parcels", params=query)).json()["parcels"]
        report = f"/carrier/parcels/{parcel['id']}/report"
        (await self._sandbox.post(report, json={"status": state})).raise_for_status()
        return order

    async def _place(self, **changes: object) -> Handle:
        order_id = uuid4()
        fields = {
            "order_id": order_id,
            "address": Address(zip_code="10001"),
            "fingerprint": "a-fingerprint",
            "lines": (OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),),
            "payment_method": "pm_card_visa",
            "payment_token": f"{order_id}:1",
        }
        return await self._client.start_workflow(
            OrderWorkflow.run,
            PlaceOrder.model_validate(fields | changes),
            id=order_workflow_id(order_id),
            task_queue=ORDER_TASK_QUEUE,
        )

    async def _waiting(self, **changes: object) -> Handle:
        order = await self._place(**changes)
        await _until(order, "approval")
        return order

    async def _approved(self, **changes: object) -> Handle:
        order = await self._waiting(**changes)
        await order.signal(OrderWorkflow.approve)
        return order

    async def _preparing(self, **changes: object) -> Handle:
        """An order whose parcel waits for a carrier that is away."""
        await self._control("carrier", available=False)
        order = await self._approved(**changes)
        shipment = self._client.get_workflow_handle(order.id.replace("order/", "shipping/"))
        await _until(order, "shipping")
        while True:
            with contextlib.suppress(RPCError, WorkflowQueryFailedError):
                if (await shipment.query("status"))["step"] == "dispatching":
                    return order
            await asyncio.sleep(0.1)

    async def _control(self, part: str, **conditions: object) -> None:
        (await self._sandbox.put(f"/control/{part}", json=conditions)).raise_for_status()


async def _refused(order: Handle, update: Any, request: Any) -> None:  # noqa: ANN401 - any
    with contextlib.suppress(WorkflowUpdateFailedError):
        await order.execute_update(update, request)


async def _until(order: Handle, waiting_for: str) -> None:
    while (await order.query(OrderWorkflow.status)).waiting_for != waiting_for:
        await asyncio.sleep(0.1)


async def _until_attention(order: Handle) -> None:
    while not (await order.query(OrderWorkflow.status)).needs_attention:
        await asyncio.sleep(0.1)
