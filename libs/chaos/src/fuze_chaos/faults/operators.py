"""Operator faults: what an operator does by mistake, and how an operator resolves it.

Each action is logged before it is sent: one whose response is lost may have had its effect, and the
checker has to know what may have happened to an order.

No success is forged. An activity that an operator completes with a valid outcome ("charged") is a
lie that no system can tell from the truth; the invariants cannot hold after it. The mistakes that
are made here are a failure, and a value that is no outcome.
"""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client

from fuze_chaos.faults.catalog import FaultError, ScheduledFault
from fuze_chaos.faults.operator_client import OperatorClient, find_activity, is_started
from fuze_chaos.reference_model import TERMINAL_STATUSES
from fuze_chaos.snapshots import order_sql
from fuze_chaos.snapshots.postgres import connect
from fuze_chaos.workload.client import Request, WorkloadClient
from fuze_chaos.workload.request_log import RequestLog

_MAX_CANCELLED = 4
_SHARE_NOTICED = 0.5
"""How many of the orders without a workflow their operator recovers without a report."""
_TIMEOUT_SECONDS = 12.0
_RESOLUTION_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.05
_WITH_OUTCOME = frozenset(
    {"payment_charged", "payment_voided", "shipment_dispatched", "shipment_cancelled"}
)
"""Activities whose outcome is never a bare string."""


async def _nothing() -> str | None:
    return None


@asynccontextmanager
async def _time_limit(failure: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            yield
    except TimeoutError:
        raise FaultError(f"{failure} within {_TIMEOUT_SECONDS:.0f} s") from None


@dataclass(frozen=True)
class Intervention:
    """What an operator has done, and how an operator resolves it some seconds later."""

    note: str
    resolve: Callable[[], Awaitable[str | None]] = _nothing


class OperatorFaults:
    """Acts on one order's workflow, or on its shipment's; `log` has every action.

    Every action raises `FaultError` if Temporal refuses it, for example because the workflow has
    ended meanwhile.
    """

    def __init__(
        self, *, dsn: str, temporal: Client, gateway: WorkloadClient, log: RequestLog
    ) -> None:
        self._dsn = dsn
        self._temporal = OperatorClient(temporal)
        self._gateway = gateway
        self._log = log
        self._numbers = itertools.count(1)
        self._failed_for_good: set[str] = set()
        self._unnoticed: set[str] = set()

    async def choose(self, fault: ScheduledFault, kind: str, *, on_activity: bool) -> str:
        """Return a running workflow at random; `kind` is `order` or `shipping`.

        With `on_activity` it has a pending activity, which is running if there is such a one.
        """
        async with _time_limit(f"no {kind} workflow to act on"):
            while True:
                found = None
                for workflow_id in await self._open_workflows(fault, kind):
                    running = await self._temporal.describe_running(workflow_id)
                    if running is None:
                        continue
                    activity = find_activity(running)
                    if not on_activity or (activity and is_started(activity)):
                        return workflow_id
                    if activity:
                        found = workflow_id
                if found:
                    return found
                await asyncio.sleep(_POLL_SECONDS)

    async def reset(self, fault: ScheduledFault, workflow_id: str) -> Intervention:
        """Reset to the first or the last workflow task; messages are re-applied or excluded."""
        rng = _random(fault)
        task, messages = rng.choice(("first", "last")), rng.choice(("re-applied", "excluded"))
        return await self._reset(fault, workflow_id, task, messages)

    async def cancel(self, fault: ScheduledFault, workflow_id: str) -> Intervention:
        """Cancel this order and up to three others in one batch operation."""
        others = [one for one in await self._open_workflows(fault, "order") if one != workflow_id]
        chosen = [workflow_id, *others[: _MAX_CANCELLED - 1]]
        actions = {one: await self._record(fault, "cancel", one) for one in chosen}
        await self._temporal.cancel(chosen)
        count = 0
        for one, action in actions.items():
            if await self._temporal.is_cancel_requested(one):
                count += 1
                await self._acknowledge(action, status=await self._read_status(one))
        return Intervention(f"{count} of {len(chosen)} orders cancelled")

    async def pause(self, fault: ScheduledFault, workflow_id: str) -> Intervention:
        """Pause a pending activity; unpause it later."""
        activity = await self._wait_for_activity(workflow_id)
        name, activity_id = activity.activity_type.name, activity.activity_id
        action = await self._record(fault, "pause", workflow_id, name)
        await self._temporal.pause_activity(workflow_id, activity_id)
        await self._acknowledge(action)

        async def unpause() -> str:
            try:
                await self._temporal.unpause_activity(workflow_id, activity_id)
            except FaultError:
                return "it had ended before it was unpaused"
            return "unpaused"

        return Intervention(f"{name} of {workflow_id} paused", unpause)

    async def complete(self, fault: ScheduledFault, workflow_id: str) -> Intervention:
        """Fail a pending activity, or complete it with a value that is no outcome.

        Its attempt may be running. A failure is retried; or it is final, and a step that needs an
        operator then gets a request to retry it. A wrong value blocks the workflow, until it is
        reset to its last task.
        """
        activity = await self._wait_for_activity(workflow_id, started=True)
        name, activity_id = activity.activity_type.name, activity.activity_id
        mistakes = ["failed", "failed for good"]
        if name in _WITH_OUTCOME:
            mistakes.append("completed with a wrong value")
        mistake = _random(fault).choice(mistakes)
        action = await self._record(fault, "complete", workflow_id, f"{name} {mistake}")
        resolve = _nothing
        if mistake.startswith("failed"):
            is_final = mistake == "failed for good"
            await self._temporal.fail_activity(workflow_id, activity_id, is_final=is_final)
            if is_final and workflow_id.startswith("order/"):
                self._failed_for_good.add(workflow_id)
                resolve = partial(self._request_retry, workflow_id)
        else:
            await self._temporal.complete_activity(workflow_id, activity_id, "done")
            resolve = partial(self._unblock, fault, workflow_id)
        await self._acknowledge(action)
        return Intervention(f"{name} of {workflow_id} {mistake}", resolve)

    async def terminate(self, fault: ScheduledFault, workflow_id: str) -> Intervention:
        """Terminate a workflow; recover an order later."""
        action = await self._record(fault, "terminate", workflow_id)
        await self._temporal.terminate(workflow_id)
        await self._acknowledge(action)
        return self._ended(fault, workflow_id, "terminated")

    async def delete(self, fault: ScheduledFault, workflow_id: str) -> Intervention:
        """Delete a workflow with its history; recover an order later."""
        action = await self._record(fault, "delete", workflow_id)
        await self._temporal.delete(workflow_id)
        await self._acknowledge(action)
        return self._ended(fault, workflow_id, "deleted")

    async def resolve_reported(self) -> None:
        """Resolve what orders report: a step that needs a retry, a workflow that is missing."""
        for workflow_id in tuple(self._failed_for_good):
            await self._request_retry(workflow_id)
        for workflow_id in tuple(self._unnoticed):
            await self._recover_if_reported(workflow_id)

    async def resolve_all(self) -> None:
        """Resolve what orders report until nothing is left, or for 60 s."""
        deadline = time.monotonic() + _RESOLUTION_TIMEOUT_SECONDS
        while (self._failed_for_good or self._unnoticed) and time.monotonic() < deadline:
            await self.resolve_reported()
            await asyncio.sleep(_POLL_SECONDS)

    def _ended(self, fault: ScheduledFault, workflow_id: str, how: str) -> Intervention:
        """Recover half of the orders soon, and the others once they are reported as missing.

        A shipment is requested again by its order.
        """
        note = f"{workflow_id} {how}"
        if not workflow_id.startswith("order/"):
            return Intervention(note)
        if _random(fault).random() < _SHARE_NOTICED:
            return Intervention(note, partial(self._recover, workflow_id))
        self._unnoticed.add(workflow_id)
        return Intervention(f"{note}, unnoticed")

    async def _reset(
        self, fault: ScheduledFault, workflow_id: str, task: str, messages: str
    ) -> Intervention:
        details = f"to the {task} task, messages {messages}"
        action = await self._record(
            fault, "reset", workflow_id, details, excludes_messages=messages == "excluded"
        )
        await self._temporal.reset(
            workflow_id, to_first=task == "first", excludes_messages=messages == "excluded"
        )
        await self._acknowledge(action)
        return Intervention(f"{workflow_id} reset {details}")

    async def _unblock(self, fault: ScheduledFault, workflow_id: str) -> str:
        """Reset a workflow whose task fails because of a wrong result to its last task."""
        try:
            return (await self._reset(fault, workflow_id, "last", "re-applied")).note
        except FaultError as error:
            return f"not reset: {error}"

    async def _request_retry(self, workflow_id: str) -> str | None:
        """Request the retry of a step that failed for good, if the order has recorded that."""
        row = await self._read_order(workflow_id)
        if row is None or not await self._temporal.describe_running(workflow_id):
            self._failed_for_good.discard(workflow_id)
            return None
        if not row["needs_attention"]:
            return None
        response = await self._send(workflow_id, "retry")
        if response == HTTPStatus.OK:
            self._failed_for_good.discard(workflow_id)
        return f"retry requested: {response}"

    async def _recover(self, workflow_id: str) -> str:
        """Start an order's workflow again from its row."""
        return f"recovery requested: {await self._send(workflow_id, 'recover')}"

    async def _recover_if_reported(self, workflow_id: str) -> None:
        row = await self._read_order(workflow_id)
        if row is None or await self._temporal.describe_running(workflow_id):
            self._unnoticed.discard(workflow_id)
        elif row["workflow_missing_at"]:
            await self._recover(workflow_id)
        elif row["status"] in TERMINAL_STATUSES and row["payment_status"] != "refunding":
            self._unnoticed.discard(workflow_id)

    async def _send(self, workflow_id: str, operation: str) -> int | None:
        """Send a command of an operator through the gateway; return the response's status."""
        order_id = _order_id(workflow_id)
        response = await self._gateway.send(
            Request(
                operation=operation,
                order_id=order_id,
                method="POST",
                path=f"/orders/{order_id}/{operation}",
                body={"actor": "operator"},
            )
        )
        return response.status_code if response else None

    async def _wait_for_activity(
        self, workflow_id: str, *, started: bool = False
    ) -> PendingActivityInfo:
        """Return a pending activity; only one that is `started` can be completed by its id."""
        async with _time_limit(f"{workflow_id} has no pending activity"):
            while running := await self._temporal.describe_running(workflow_id):
                activity = find_activity(running)
                if activity and (is_started(activity) or not started):
                    return activity
                await asyncio.sleep(_POLL_SECONDS)
        raise FaultError(f"{workflow_id} has ended before")

    async def _open_workflows(self, fault: ScheduledFault, kind: str) -> list[str]:
        """Return the workflows of orders that have not ended, in an order that the fault draws."""
        query = order_sql.OPEN_ORDERS if kind == "order" else order_sql.ORDERS_WITH_SHIPMENT
        async with connect(self._dsn) as connection:
            rows = await connection.fetch(query, list(TERMINAL_STATUSES))
        found = [f"{kind}/{row['order_id']}" for row in rows]
        _random(fault).shuffle(found)
        return found

    async def _read_order(self, workflow_id: str) -> dict[str, object] | None:
        async with connect(self._dsn) as connection:
            row = await connection.fetchrow(order_sql.ORDER, _order_id(workflow_id))
        return dict(row) if row else None

    async def _read_status(self, workflow_id: str) -> str | None:
        row = await self._read_order(workflow_id)
        return str(row["status"]) if row else None

    async def _record(
        self,
        fault: ScheduledFault,
        action: str,
        workflow_id: str,
        details: str = "",
        *,
        excludes_messages: bool = False,
    ) -> int:
        number = next(self._numbers)
        line = {
            "action": number,
            "at": time.time(),
            "fault": fault.number,
            "kind": action,
            "workflow_id": workflow_id,
            "details": details,
            "excludes_messages": excludes_messages,
        }
        await self._log.write(line)
        return number

    async def _acknowledge(self, number: int, *, status: str | None = None) -> None:
        """Log that Temporal has accepted an action, and the order's status after that."""
        await self._log.write({"accepted": number, "at": time.time(), "status": status})


def _order_id(workflow_id: str) -> str:
    return workflow_id.partition("/")[2]


def _random(fault: ScheduledFault) -> random.Random:
    """Return the fault's own sequence of random numbers, which the seed determines."""
    return random.Random(f"{fault.number}/{fault.at}")  # noqa: S311 - reproducible on purpose
