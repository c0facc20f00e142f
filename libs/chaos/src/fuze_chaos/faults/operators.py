"""Operator faults: what an operator does by mistake, and how an operator resolves it.

Each action is logged before it is sent: one whose response is lost may have had its effect, and the
checker has to know what may have happened to an order. For the same reason what has to be resolved
is remembered before.

No success is forged. An activity that an operator completes with a valid outcome ("charged") is a
lie that no system can tell from the truth; the invariants cannot hold after it. The mistakes that
are made here are a failure, and a value that is no outcome.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

from temporalio.client import Client

from fuze_chaos.faults.catalog import FaultError, ScheduledFault
from fuze_chaos.faults.operator_client import OperatorClient, TemporalUnavailableError
from fuze_chaos.faults.operator_targets import OperatorTargets, create_random, to_order_id
from fuze_chaos.reference_model import TERMINAL_STATUSES
from fuze_chaos.workload.client import Request, WorkloadClient
from fuze_chaos.workload.request_log import RequestLog

_MAX_CANCELLED = 4
_SHARE_NOTICED = 0.5
"""How many of the orders without a workflow their operator recovers without a report."""
_RESOLUTION_TIMEOUT_SECONDS = 60.0
_POLL_SECONDS = 0.05
_WITH_OUTCOME = frozenset(
    {"payment_charged", "payment_voided", "shipment_dispatched", "shipment_cancelled"}
)
"""Activities whose outcome is never a bare string."""

Resolution = Callable[[], Awaitable[str | None]]
"""Resolves an action, and returns a note on it; None while it cannot be resolved yet."""


class OperatorFaults:
    """Acts on one order's workflow, or on its shipment's; `log` has every action.

    Every action returns a note, and raises `FaultError` if Temporal refuses it, for example because
    the workflow has ended meanwhile.
    """

    def __init__(
        self, *, dsn: str, temporal: Client, gateway: WorkloadClient, log: RequestLog
    ) -> None:
        self._temporal = OperatorClient(temporal)
        self.targets = OperatorTargets(dsn, self._temporal)
        self._gateway = gateway
        self._log = log
        self._numbers = itertools.count(1)
        self._unresolved: dict[int, Resolution] = {}

    async def reset(self, fault: ScheduledFault, workflow_id: str) -> str:
        """Reset to the first or the last workflow task; messages are re-applied or excluded."""
        rng = create_random(fault)
        task, messages = rng.choice(("first", "last")), rng.choice(("re-applied", "excluded"))
        return await self._reset(fault, workflow_id, task, messages)

    async def reset_and_cancel(self, fault: ScheduledFault, workflow_id: str) -> str:
        """Reset the order of a workflow to its first task, then cancel the order.

        Its new run remembers nothing of what the earlier one has requested from other services.
        """
        order = f"order/{to_order_id(workflow_id)}"
        messages = create_random(fault).choice(("re-applied", "excluded"))
        reset = await self._reset(fault, order, "first", messages)
        return f"{reset}; {await self._cancel(fault, [order])}"

    async def cancel(self, fault: ScheduledFault, workflow_id: str) -> str:
        """Cancel this order and up to three others in one batch operation."""
        open_orders = await self.targets.list_open(fault, "order")
        others = [one for one in open_orders if one != workflow_id]
        return await self._cancel(fault, [workflow_id, *others[: _MAX_CANCELLED - 1]])

    async def pause(self, fault: ScheduledFault, workflow_id: str) -> str:
        """Pause a pending activity; unpause it later."""
        activity = await self.targets.wait_for_activity(workflow_id)
        name, activity_id = activity.activity_type.name, activity.activity_id
        action = await self._record(fault, "pause", workflow_id, name)
        self._unresolved[action] = partial(self._unpause, workflow_id, activity_id)
        await self._temporal.pause_activity(workflow_id, activity_id)
        await self._acknowledge(action)
        return f"{name} of {workflow_id} paused"

    async def complete(self, fault: ScheduledFault, workflow_id: str) -> str:
        """Fail a running activity, or complete it with a value that is no outcome.

        Its attempt continues. A failure is retried; or it is final, and a step that needs an
        operator then gets a request to retry it. A wrong value blocks the workflow, until it is
        reset to its last task.
        """
        activity = await self.targets.wait_for_activity(workflow_id, started=True)
        name, activity_id = activity.activity_type.name, activity.activity_id
        mistakes = ["failed", "failed for good"]
        if name in _WITH_OUTCOME:
            mistakes.append("completed with a wrong value")
        mistake = create_random(fault).choice(mistakes)
        action = await self._record(fault, "complete", workflow_id, f"{name} {mistake}")
        if mistake == "failed":
            await self._temporal.fail_activity(workflow_id, activity_id, is_final=False)
        elif mistake == "failed for good":
            if workflow_id.startswith("order/"):
                self._unresolved[action] = partial(self._request_retry, workflow_id)
            await self._temporal.fail_activity(workflow_id, activity_id, is_final=True)
        else:
            self._unresolved[action] = partial(self._unblock, fault, workflow_id)
            await self._temporal.complete_activity(workflow_id, activity_id, "done")
        await self._acknowledge(action)
        return f"{name} of {workflow_id} {mistake}"

    async def terminate(self, fault: ScheduledFault, workflow_id: str) -> str:
        """Terminate a workflow; recover an order later."""
        action = await self._record(fault, "terminate", workflow_id)
        self._recover_later(fault, action, workflow_id)
        await self._temporal.terminate(workflow_id)
        await self._acknowledge(action)
        return f"{workflow_id} terminated"

    async def delete(self, fault: ScheduledFault, workflow_id: str) -> str:
        """Delete a workflow with its history; recover an order later."""
        action = await self._record(fault, "delete", workflow_id)
        self._recover_later(fault, action, workflow_id)
        await self._temporal.delete(workflow_id)
        await self._acknowledge(action)
        return f"{workflow_id} deleted"

    async def resolve(self) -> list[str]:
        """Resolve every action that can be resolved now; return a note on each."""
        notes = []
        for action, resolution in tuple(self._unresolved.items()):
            try:
                note = await resolution()
            except TemporalUnavailableError:
                continue
            if note:
                del self._unresolved[action]
                notes.append(note)
        return notes

    async def resolve_all(self) -> None:
        """Resolve actions until nothing is left, or for 60 s."""
        deadline = time.monotonic() + _RESOLUTION_TIMEOUT_SECONDS
        while self._unresolved and time.monotonic() < deadline:
            await self.resolve()
            await asyncio.sleep(_POLL_SECONDS)

    async def _cancel(self, fault: ScheduledFault, chosen: list[str]) -> str:
        actions = {one: await self._record(fault, "cancel", one) for one in chosen}
        await self._temporal.cancel(chosen)
        count = 0
        for one, action in actions.items():
            if await self._temporal.is_cancel_requested(one):
                count += 1
                row = await self.targets.read_order(one)
                await self._acknowledge(action, status=row["status"] if row else None)
        return f"{count} of {len(chosen)} orders cancelled"

    async def _reset(
        self, fault: ScheduledFault, workflow_id: str, task: str, messages: str
    ) -> str:
        details = f"to the {task} task, messages {messages}"
        action = await self._record(
            fault, "reset", workflow_id, details, excludes_messages=messages == "excluded"
        )
        await self._temporal.reset(
            workflow_id, to_first=task == "first", excludes_messages=messages == "excluded"
        )
        await self._acknowledge(action)
        return f"{workflow_id} reset {details}"

    def _recover_later(self, fault: ScheduledFault, action: int, workflow_id: str) -> None:
        """Recover half of the orders soon, the others only once they are reported as missing.

        A shipment is requested again by its order.
        """
        if workflow_id.startswith("order/"):
            is_noticed = create_random(fault).random() < _SHARE_NOTICED
            self._unresolved[action] = partial(self._recover, workflow_id, is_noticed=is_noticed)

    async def _unpause(self, workflow_id: str, activity_id: str) -> str:
        try:
            await self._temporal.unpause_activity(workflow_id, activity_id)
        except TemporalUnavailableError:
            raise
        except FaultError:
            return "it had ended before it was unpaused"
        return "unpaused"

    async def _unblock(self, fault: ScheduledFault, workflow_id: str) -> str:
        """Reset a workflow whose task fails because of a wrong value to its last task."""
        try:
            return await self._reset(fault, workflow_id, "last", "re-applied")
        except TemporalUnavailableError:
            raise
        except FaultError as error:
            return f"not reset: {error}"

    async def _request_retry(self, workflow_id: str) -> str | None:
        """Request the retry of a step that failed for good, once the order has recorded that."""
        row = await self.targets.read_order(workflow_id)
        if row is None or not await self._temporal.describe_running(workflow_id):
            return f"{workflow_id} has ended without a retry"
        if not row["needs_attention"]:
            return None
        status = await self._send(workflow_id, "retry")
        return f"{workflow_id} retried" if status == HTTPStatus.OK else None

    async def _recover(self, workflow_id: str, *, is_noticed: bool) -> str | None:
        """Start an order's workflow again from its row."""
        row = await self.targets.read_order(workflow_id)
        if row is None or await self._temporal.describe_running(workflow_id):
            return f"{workflow_id} runs"
        if row["status"] in TERMINAL_STATUSES and row["payment_status"] != "refunding":
            is_tracked = row["status"] == "shipped" and row["tracking_deadline"]
            if not is_tracked:
                return f"{workflow_id} has ended"
        if not is_noticed and not row["workflow_missing_at"]:
            return None
        status = await self._send(workflow_id, "recover")
        if status == HTTPStatus.ACCEPTED:
            how = "recovered" if is_noticed else "reported and recovered"
            return f"{workflow_id} {how}"
        return f"{workflow_id} not recovered: {status}" if status == HTTPStatus.CONFLICT else None

    async def _send(self, workflow_id: str, operation: str) -> int | None:
        """Send a command of an operator through the gateway; return the response's status."""
        order_id = to_order_id(workflow_id)
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

    async def _record(
        self,
        fault: ScheduledFault,
        kind: str,
        workflow_id: str,
        details: str = "",
        *,
        excludes_messages: bool = False,
    ) -> int:
        """Log an action that is about to be sent, and return its number."""
        number = next(self._numbers)
        line = {
            "action": number,
            "at": time.time(),
            "fault": fault.number,
            "kind": kind,
            "workflow_id": workflow_id,
            "details": details,
            "excludes_messages": excludes_messages,
        }
        await self._log.write(line)
        return number

    async def _acknowledge(self, action: int, *, status: str | None = None) -> None:
        """Log that Temporal has accepted an action, and the order's status after that."""
        await self._log.write({"accepted": action, "at": time.time(), "status": status})
