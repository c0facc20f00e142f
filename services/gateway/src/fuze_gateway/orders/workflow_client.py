"""Writes to order workflows in Temporal: start, signal, update."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
)
from temporalio.common import (
    QueryRejectCondition,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.types import MethodAsyncSingleParam
from temporalio.workflow import UpdateMethodMultiParam

from fuze_contracts.base import Message
from fuze_contracts.order import (
    ORDER_TASK_QUEUE,
    OrderResult,
    OrderSignal,
    OrderSnapshot,
    OrderWorkflow,
    PlaceOrder,
)
from fuze_contracts.order_states import OrderStatus
from fuze_contracts.search_attributes import NEEDS_ATTENTION, ORDER_STATUS
from fuze_contracts.workflow_ids import order_workflow_id
from fuze_gateway.upstreams import (
    UpstreamUnavailableError,
    WorkflowSlots,
    start_once,
    temporal_timeout,
    update_when_idle,
)

_MAX_DETAIL_LINES = 20
"""Temporal limits a workflow's details to 20 kB."""

_QUERY_TIMEOUT = timedelta(seconds=2)
_MAX_HISTORY_LENGTH_WITHOUT_WORKER = 2_000
"""In events. An order has about fifty, and Temporal accepts ten thousand signals."""

_MAX_REMEMBERED_ORDERS = 10_000

MessageT = TypeVar("MessageT", bound=Message)
SignalMethod = MethodAsyncSingleParam[OrderWorkflow, MessageT, None]
"""A signal of the order workflow: takes one message."""

OrderHandle = WorkflowHandle[OrderWorkflow, OrderResult]
Update = UpdateMethodMultiParam[[OrderWorkflow, MessageT], OrderSnapshot]
"""An update of the order workflow: takes one message, returns the order."""


class CommandRejectedError(Exception):
    """The order rejected a command; `error_type` is a type from contracts, if it gave one.

    `rule` is the rule that the command violates, in words of the order.
    """

    def __init__(self, error_type: str | None, rule: str | None = None) -> None:
        super().__init__(error_type or "rejected")
        self.error_type = error_type
        self.rule = rule


class OrderCommands:
    """Starts, signals and updates of order workflows.

    Every method raises `UpstreamUnavailableError` when Temporal is unavailable or times out. The
    command may have arrived; repeating it is safe.
    """

    def __init__(self, client: Client, timeout: timedelta) -> None:
        self._client = client
        self._timeout = timeout
        self._slots = WorkflowSlots()
        self._commanded: dict[UUID, None] = {}

    async def start(self, order: PlaceOrder) -> bool:
        """Start the order's workflow; return False if its id was used before."""
        return await self._start(order, WorkflowIDReusePolicy.REJECT_DUPLICATE)

    async def restart(self, order: PlaceOrder) -> bool:
        """Start the workflow of a recovered order; return False if one is running."""
        return await self._start(order, WorkflowIDReusePolicy.ALLOW_DUPLICATE)

    async def _start(self, order: PlaceOrder, reuse: WorkflowIDReusePolicy) -> bool:
        start = self._client.start_workflow(
            OrderWorkflow.run,
            order,
            id=order_workflow_id(order.order_id),
            task_queue=ORDER_TASK_QUEUE,
            id_reuse_policy=reuse,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
            memo={"fingerprint": order.fingerprint, "owner": order.owner},
            search_attributes=_search_attributes(order),
            static_summary=_summary(order),
            static_details=_details(order),
            rpc_timeout=self._timeout,
        )
        return await start_once(start, self._timeout)

    async def signal(
        self,
        order_id: UUID,
        name: OrderSignal,
        signal: SignalMethod[MessageT],
        message: MessageT,
        *,
        is_awaited: Callable[[], Awaitable[bool]],
    ) -> bool:
        """Send a signal; return False if no such workflow is running.

        A signal needs no worker, but Temporal refuses all signals after the ten thousandth. So the
        order is queried whether it would drop this one; without a worker, its history has to be
        short. The first command through this gateway needs no query, which costs about as much as a
        workflow task, where `is_awaited` says that the order awaits it.

        Raises:
            CommandRejectedError: the order would drop the signal.

        """
        order = self._handle(order_id)
        try:
            async with self._slots.of(order_id):
                caller: str | None = getattr(message, "caller", None)
                needs_query = not (self._remember(order_id) and await is_awaited())
                if needs_query and (rejection := await self._signal_rejection(order, name, caller)):
                    raise CommandRejectedError(rejection)
                async with temporal_timeout(self._timeout):
                    await order.signal(signal, message, rpc_timeout=self._timeout)
        except (WorkflowQueryRejectedError, RPCError):  # closed; never started, or deleted
            return False
        return True

    def _remember(self, order_id: UUID) -> bool:
        """Return whether this gateway has sent the order no command, as far as it remembers."""
        is_first = order_id not in self._commanded
        self._commanded.pop(order_id, None)
        self._commanded[order_id] = None  # the last to be forgotten
        if len(self._commanded) > _MAX_REMEMBERED_ORDERS:
            del self._commanded[next(iter(self._commanded))]
        return is_first

    async def _signal_rejection(
        self, order: OrderHandle, name: OrderSignal, caller: str | None
    ) -> str | None:
        try:
            async with temporal_timeout(min(self._timeout, _QUERY_TIMEOUT)):
                return await order.query(
                    OrderWorkflow.signal_rejection,
                    args=[name, caller],
                    reject_condition=QueryRejectCondition.NOT_OPEN,
                    rpc_timeout=_QUERY_TIMEOUT,
                )
        except (UpstreamUnavailableError, WorkflowQueryFailedError):  # no worker answers
            async with temporal_timeout(self._timeout):
                described = await order.describe(rpc_timeout=self._timeout)
            if described.history_length > _MAX_HISTORY_LENGTH_WITHOUT_WORKER:
                raise
            return None

    async def execute_update(
        self, order_id: UUID, update: Update[MessageT], message: MessageT
    ) -> OrderSnapshot | None:
        """Execute an update and return the order; None if no such workflow is running.

        Raises:
            CommandRejectedError: the order rejected the update.

        """
        self._remember(order_id)
        try:
            async with self._slots.of(order_id), temporal_timeout(self._timeout):
                order = self._handle(order_id)
                return await update_when_idle(
                    lambda: order.execute_update(update, message, rpc_timeout=self._timeout)
                )
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError):
                raise CommandRejectedError(cause.type, cause.message) from error
            raise CommandRejectedError(None) from error
        except RPCError:  # only NOT_FOUND is passed through: never started, closed, or deleted
            return None

    def _handle(self, order_id: UUID) -> OrderHandle:
        return self._client.get_workflow_handle_for(OrderWorkflow.run, order_workflow_id(order_id))


def _search_attributes(order: PlaceOrder) -> TypedSearchAttributes:
    """Return the first ones, so that Temporal refuses the order where they do not exist."""
    if not order.search_attributes:
        return TypedSearchAttributes.empty
    return TypedSearchAttributes(
        [
            SearchAttributePair(ORDER_STATUS, OrderStatus.RECEIVED),
            SearchAttributePair(NEEDS_ATTENTION, value=False),
        ]
    )


def _summary(order: PlaceOrder) -> str:
    count = sum(line.quantity for line in order.lines)
    return f"{count} {'item' if count == 1 else 'items'}, {order.total}"


def _details(order: PlaceOrder) -> str | None:
    """Return the order's lines for the Temporal UI, without personal data."""
    lines = [f"- {line.quantity} x `{line.sku}`" for line in order.lines[:_MAX_DETAIL_LINES]]
    if len(order.lines) > _MAX_DETAIL_LINES:
        lines.append(f"- and {len(order.lines) - _MAX_DETAIL_LINES} more lines")
    return "\n".join(lines) or None
