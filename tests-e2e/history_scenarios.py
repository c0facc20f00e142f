"""What the scenarios of `record_histories` share: they drive a running stack from outside."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
from temporalio.api.enums.v1 import EventType as Recorded
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from fuze_contracts.address import Address
from fuze_contracts.order import (
    ORDER_TASK_QUEUE,
    CancelOrder,
    ChangeAddress,
    OrderWorkflow,
    PlaceOrder,
)
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.workflow_ids import order_workflow_id

Handle = WorkflowHandle[Any, Any]

_SCHEDULED = PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED
_STARTED = PendingActivityState.PENDING_ACTIVITY_STATE_STARTED
FUZE = [sys.executable, "-m", "fuze_devstack"]
CANCEL = CancelOrder(actor="ada", reason="changed my mind")
NEW_ADDRESS = ChangeAddress(address=Address(country="US", postal_code="94105"), actor="ada")
NOT_SERVED = Address(country="FR", postal_code="75001")
INVALID_ADDRESS = ChangeAddress(address=NOT_SERVED, actor="ada")
REJECTED = Address(country="US", postal_code="10001", line1="rejected")


@dataclass(frozen=True)
class Scenarios:
    """The base of scenarios: each public method of a subclass is one, and names its file."""

    client: Client
    sandbox: httpx.AsyncClient
    stack: Mapping[str, Any]
    state: Path

    async def _place(self, again: UUID | None = None, **changes: object) -> Handle:
        new = again or uuid4()
        fields = {
            "order_id": new,
            "address": Address(country="US", postal_code="10001"),
            "fingerprint": "a-fingerprint",
            "lines": (OrderLine(sku="TEAPOT-1", quantity=3, unit_price_minor=1999),),
            "payment_method": "pm_card_visa",
            "payment_token": f"{new}:1",
        }
        return await self.client.start_workflow(
            OrderWorkflow.run,
            PlaceOrder.model_validate(fields | changes),
            id=order_workflow_id(new),
            task_queue=ORDER_TASK_QUEUE,
        )

    async def _waiting(self, **changes: object) -> Handle:
        order = await self._place(None, **changes)
        await until(order, "approval")
        return order

    async def _approved(self, **changes: object) -> Handle:
        order = await self._waiting(**changes)
        await order.signal(OrderWorkflow.approve)
        return order

    async def _charging(self, **changes: object) -> Handle:
        """Return an order that is being charged while the provider is unavailable."""
        await self._control("psp", available=False)
        order = await self._approved(**changes)
        await until(order, "payment")
        return order

    async def _preparing(self, **changes: object) -> Handle:
        """Return an order whose shipment waits for an unavailable carrier, between two attempts."""
        await self._control("carrier", available=False)
        order = await self._approved(**changes)
        await until(order, "shipping")
        while True:
            with contextlib.suppress(RPCError):
                pending = (
                    await self._shipment(order).describe()
                ).raw_description.pending_activities
                # The longer the backoff, the surer that no attempt is in flight.
                if any(one.attempt > 2 and one.state == _SCHEDULED for one in pending):
                    return order
            await asyncio.sleep(0.1)

    async def _tracking(self) -> Handle:
        """Return an order that tracks its delivery."""
        order = await self._approved(delivery_tracking_period=timedelta(days=30))
        await until(order, "delivery")
        return order

    async def _report(self, order: Handle, state: str) -> None:
        """Have the carrier report a delivery status of the order's parcel."""
        parcel = await self._get_parcel(order)
        report = f"/carrier/parcels/{parcel['id']}/report"
        (await self.sandbox.post(report, json={"status": state})).raise_for_status()

    async def _get_parcel(self, order: Handle) -> dict[str, Any]:
        query = {"order_id": str(order_id(order))}
        [parcel] = (await self.sandbox.get("/carrier/parcels", params=query)).json()["parcels"]
        return dict(parcel)

    async def _get_charge(self, order: Handle) -> dict[str, Any]:
        query = {"order_id": str(order_id(order))}
        [charge] = (await self.sandbox.get("/psp/charges", params=query)).json()["charges"]
        return dict(charge)

    def _shipment(self, order: Handle) -> Handle:
        return self.client.get_workflow_handle(order.id.replace("order/", "shipping/"))

    async def _fail_activity(self, workflow: Handle) -> None:
        """Fail the workflow's pending activity for good, as an operator can."""
        [pending] = (await workflow.describe()).raw_description.pending_activities
        activity = self.client.get_async_activity_handle(
            workflow_id=workflow.id, run_id=None, activity_id=pending.activity_id
        )
        await activity.fail(ApplicationError("failed by an operator", non_retryable=True))

    async def _control(self, part: str, **profile: object) -> None:
        (await self.sandbox.put(f"/control/{part}", json=profile)).raise_for_status()

    async def _until_paused(self, part: str) -> None:
        """Wait until a request is held by the sandbox."""
        while not (await self.sandbox.get(f"/control/{part}")).json()["paused_requests"]:
            await asyncio.sleep(0.1)

    async def _fuze(self, command: str, *arguments: str) -> None:
        await asyncio.to_thread(
            subprocess.run,
            [*FUZE, command, *arguments, "--state-dir", str(self.state)],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    @contextlib.asynccontextmanager
    async def _stopped(self, component: str) -> AsyncIterator[None]:
        """Pause a process: it receives everything that comes meanwhile at once."""
        await self._fuze("kill", component, "--signal", "STOP")
        try:
            yield
        finally:
            await self._fuze("kill", component, "--signal", "CONT")

    @contextlib.asynccontextmanager
    async def _without_database(self) -> AsyncIterator[None]:
        await self._fuze("kill", "postgres")
        try:
            yield
        finally:
            await self._fuze("restart", "postgres")

    @contextlib.asynccontextmanager
    async def _locked_events(self) -> AsyncIterator[None]:
        """Lock the table of events, so that a commit waits."""
        connection = await asyncpg.connect(self.stack["postgres"]["dsn"])
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE orders.events IN ACCESS EXCLUSIVE MODE")
                yield
        finally:
            await connection.close()

    async def _execute(self, statement: str, *arguments: object) -> None:
        connection = await asyncpg.connect(self.stack["postgres"]["dsn"])
        try:
            await connection.execute(statement, *arguments)
        finally:
            await connection.close()


def order_id(order: Handle) -> UUID:
    """Return the order of the workflow."""
    return UUID(order.id.removeprefix("order/"))


async def until(order: Handle, waiting_for: str) -> None:
    """Wait until the order waits for this."""
    while (await order.query(OrderWorkflow.status)).waiting_for != waiting_for:
        await asyncio.sleep(0.1)


async def until_event(order: Handle, seq: int) -> None:
    """Wait until the order has committed so many events."""
    while (await order.query(OrderWorkflow.status)).last_seq < seq:
        await asyncio.sleep(0.1)


async def until_attention(order: Handle) -> None:
    """Wait until a step of the order needs attention."""
    while not (await order.query(OrderWorkflow.status)).needs_attention:
        await asyncio.sleep(0.1)


async def until_started(workflow: Handle) -> None:
    """Wait until an attempt of the activity runs: only then can it be failed by its id."""
    while True:
        pending = (await workflow.describe()).raw_description.pending_activities
        if any(one.state == _STARTED for one in pending):
            return
        await asyncio.sleep(0.05)


async def until_recorded(workflow: Handle, what: Recorded.ValueType, times: int = 1) -> None:
    """Wait until the history has so many events of a type, without a query to a worker."""
    while sum(e.event_type == what for e in (await workflow.fetch_history()).events) < times:
        await asyncio.sleep(0.1)


async def until_ended(workflow: Handle) -> None:
    """Wait until the workflow is closed."""
    while (await workflow.describe()).status is WorkflowExecutionStatus.RUNNING:
        await asyncio.sleep(0.1)
