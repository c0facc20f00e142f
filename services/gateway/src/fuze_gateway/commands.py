"""What the gateway asks of Temporal for a caller: start an order, tell it something."""

import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError
from temporalio.workflow import UpdateMethodMultiParam

from fuze_contracts.order import (
    ORDER_TASK_QUEUE,
    ApproveOrder,
    CancelOrder,
    ChangeAddress,
    OrderLine,
    OrderResult,
    OrderSnapshot,
    OrderWorkflow,
    PlaceOrder,
)
from fuze_contracts.payment import (
    PAYMENT_TASK_QUEUE,
    PaymentWebhookWorkflow,
    RefreshPayment,
    RefundPayment,
    RefundWorkflow,
    default_payment_token,
)
from fuze_contracts.shipping import (
    SHIPPING_TASK_QUEUE,
    Address,
    CarrierWebhookWorkflow,
    RefreshShipment,
)
from fuze_contracts.workflow_ids import (
    carrier_webhook_workflow_id,
    order_workflow_id,
    payment_webhook_workflow_id,
    refund_workflow_id,
)
from fuze_gateway.availability import SourceUnavailableError, temporal_within
from fuze_gateway.identity.callers import Caller
from fuze_gateway.requests import AddressIn, PlaceOrderIn
from fuze_gateway.settings import GatewaySettings

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DETAILED_LINES = 20
"""Temporal bounds a workflow's details to 20 kB, and nobody reads further."""

OrderHandle = WorkflowHandle[OrderWorkflow, OrderResult]
Request = TypeVar("Request")
Update = UpdateMethodMultiParam[[OrderWorkflow, Request], OrderSnapshot]
"""An update of the order's workflow, as its contract has it."""


def place_order(
    order_id: UUID, request: PlaceOrderIn, settings: GatewaySettings, caller: Caller
) -> PlaceOrder:
    """Return the order that a request asks for, defaults applied."""
    token = request.payment_token or default_payment_token(order_id, 1)
    return PlaceOrder(
        order_id=order_id,
        address=address_of(request.address),
        fingerprint=_fingerprint(order_id, request, token),
        customer=request.customer,
        lines=tuple(
            OrderLine(sku=line.sku, quantity=line.quantity, unit_price_minor=line.unit_price)
            for line in request.lines
        ),
        currency=request.currency,
        payment_method=request.payment_method,
        payment_token=token,
        approval_timeout=settings.approval_timeout,
        payment_method_timeout=settings.payment_method_timeout,
        approval_reminder_before=settings.approval_reminder_before,
        address_timeout=settings.address_timeout,
        step_failure_alert_after=settings.step_failure_alert_after,
        delivery_tracking_period=settings.delivery_tracking_period,
        auto_approve_limit=settings.auto_approve_limits.get(request.currency),
        placed_by=caller.name,
    )


def refund_fingerprint(command: RefundPayment) -> str:
    """Digest what a refund asks for."""
    return hashlib.sha256(command.model_dump_json().encode()).hexdigest()


def names_another_order(payment_token: str | None, order_id: UUID) -> bool:
    """Whether a caller's token is one that Fuze itself would give to another order."""
    named, _, attempt = (payment_token or "").rpartition(":")
    return bool(_UUID.fullmatch(named)) and attempt.isdecimal() and named.lower() != str(order_id)


class RefusedError(Exception):
    """The order refused a request; `why` is a type from contracts, where it gave one."""

    def __init__(self, why: str | None) -> None:
        super().__init__(why or "refused")
        self.why = why


class OrderCommands:
    """Starts and signals of order workflows, each within the limit.

    Every method raises `SourceUnavailableError` when Temporal does not answer in time. Then the
    command may or may not have arrived; repeating it is harmless.
    """

    def __init__(self, client: Client, limit: timedelta) -> None:
        self._client = client
        self._limit = limit

    async def start(self, order: PlaceOrder) -> bool:
        """Start the order's workflow; False where there is or was one already."""
        async with _started_once(self._limit) as attempt:
            await self._client.start_workflow(
                OrderWorkflow.run,
                order,
                id=order_workflow_id(order.order_id),
                task_queue=ORDER_TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                memo={"fingerprint": order.fingerprint},
                static_summary=_summary(order),
                static_details=_details(order),
                rpc_timeout=self._limit,
            )
        return attempt.was_first

    async def approve(self, order_id: UUID, approval: ApproveOrder) -> bool:
        """Let the order proceed; False where no such workflow runs."""
        return await self._tell(
            order_id,
            lambda order: order.signal(OrderWorkflow.approve, approval, rpc_timeout=self._limit),
        )

    async def cancel(self, order_id: UUID, cancellation: CancelOrder) -> bool:
        """Ask the order to stop; False where no such workflow runs."""
        return await self._tell(
            order_id,
            lambda order: order.signal(OrderWorkflow.cancel, cancellation, rpc_timeout=self._limit),
        )

    async def change_address(self, order_id: UUID, update: ChangeAddress) -> bool:
        """Send the parcel elsewhere; False where no such workflow runs."""
        return await self._tell(
            order_id,
            lambda order: order.signal(
                OrderWorkflow.change_address, update, rpc_timeout=self._limit
            ),
        )

    async def decide(
        self, order_id: UUID, update: Update[Request], request: Request
    ) -> OrderSnapshot | None:
        """Have the order decide about a request; None where no such workflow runs.

        Raises:
            RefusedError: the order said no.

        """
        handle = self._client.get_workflow_handle_for(
            OrderWorkflow.run, order_workflow_id(order_id)
        )
        try:
            async with temporal_within(self._limit):
                return await handle.execute_update(update, request, rpc_timeout=self._limit)
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            why = cause.type if isinstance(cause, ApplicationError) else None
            raise RefusedError(why) from error
        except RPCError:  # only NOT_FOUND comes through: never started, ended, or swept away
            return None

    async def refund(self, command: RefundPayment) -> bool:
        """Start the refund; False where there is or was one of this id already."""
        async with _started_once(self._limit) as attempt:
            await self._client.start_workflow(
                RefundWorkflow.run,
                command,
                id=refund_workflow_id(command.order_id, command.refund_id),
                task_queue=PAYMENT_TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                memo={"fingerprint": refund_fingerprint(command)},
                static_summary=f"give back {command.amount}",
                rpc_timeout=self._limit,
            )
        return attempt.was_first

    async def follow_up(self, event_id: str, command: RefreshPayment) -> bool:
        """Follow a provider's event up; False where that was done before."""
        async with _started_once(self._limit) as attempt:
            await self._client.start_workflow(
                PaymentWebhookWorkflow.run,
                command,
                id=payment_webhook_workflow_id(event_id),
                task_queue=PAYMENT_TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary="the provider has news of a payment",
                rpc_timeout=self._limit,
            )
        return attempt.was_first

    async def follow_parcel(self, event_id: str, command: RefreshShipment) -> bool:
        """Follow a carrier's event up; False where that was done before."""
        async with _started_once(self._limit) as attempt:
            await self._client.start_workflow(
                CarrierWebhookWorkflow.run,
                command,
                id=carrier_webhook_workflow_id(event_id),
                task_queue=SHIPPING_TASK_QUEUE,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                static_summary="the carrier has news of a parcel",
                rpc_timeout=self._limit,
            )
        return attempt.was_first

    async def _tell(self, order_id: UUID, tell: Callable[[OrderHandle], Awaitable[None]]) -> bool:
        handle = self._client.get_workflow_handle_for(
            OrderWorkflow.run, order_workflow_id(order_id)
        )
        try:
            async with temporal_within(self._limit):
                await tell(handle)
        except RPCError:  # only NOT_FOUND comes through: never started, ended, or swept away
            return False
        return True


@dataclass
class _Attempt:
    """Whether a start was the first of its workflow id."""

    was_first: bool = True


@asynccontextmanager
async def _started_once(limit: timedelta) -> AsyncIterator[_Attempt]:
    """Bound a start, and take note when the workflow is or was there already."""
    attempt = _Attempt()
    try:
        async with temporal_within(limit):
            yield attempt
    except WorkflowAlreadyStartedError:
        attempt.was_first = False
    except RPCError as error:  # NOT_FOUND: the namespace is missing, which is no caller's doing
        raise SourceUnavailableError("temporal", timed_out=False) from error


def _fingerprint(order_id: UUID, request: PlaceOrderIn, token: str) -> str:
    """Digest what the caller asked for, however the caller wrote it.

    Defaults are left out rather than filled in, so that a field which a later version adds does
    not turn the repeat of an older request into another one.
    """
    asked = request.model_dump(mode="json", exclude_defaults=True)
    asked |= {"order_id": str(order_id), "payment_token": token}
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def address_of(address: AddressIn) -> Address:
    """Return the address as the contracts have it."""
    return Address.model_validate(address.model_dump())


def _summary(order: PlaceOrder) -> str:
    count = sum(line.quantity for line in order.lines)
    return f"{count} {'item' if count == 1 else 'items'}, {order.total}"


def _details(order: PlaceOrder) -> str | None:
    """List the order's lines for an operator; nothing that names the customer."""
    lines = [f"- {line.quantity} x `{line.sku}`" for line in order.lines[:_DETAILED_LINES]]
    if len(order.lines) > _DETAILED_LINES:
        lines.append(f"- and {len(order.lines) - _DETAILED_LINES} more lines")
    return "\n".join(lines) or None
