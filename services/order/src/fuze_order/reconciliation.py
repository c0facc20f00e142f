"""The comparison of orders with their workflows in Temporal."""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from fuze_contracts.order import OrderWorkflow
from fuze_contracts.order_states import OrderStatus
from fuze_contracts.workflow_ids import order_workflow_id, parse_order_id, shipping_workflow_id
from fuze_order.messages import OpenOrdersResult
from fuze_order.reconciliation_repository import ReconciliationRepository

_PAGE_SIZE = 1000
_CONCURRENT_CALLS = 20
_FAILING_INTERVAL = timedelta(seconds=5)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RUNNING = "ExecutionStatus = 'Running' AND WorkflowType IN ('OrderWorkflow', 'ShippingWorkflow')"
_FAILING = "ExecutionStatus = 'Running' AND TemporalReportedProblems IS NOT NULL"


class OpenOrderComparison:
    """Finds open orders without a workflow, and shipments that ended without the order.

    It also finds orders with a workflow task that fails, as after a bad deployment. They need
    attention.

    Temporal's visibility lists the running workflows, and may be late: what it does not list is
    looked up, and the row is read again, before anything is done.
    """

    def __init__(self, repository: ReconciliationRepository) -> None:
        self._repository = repository
        self._calls = asyncio.Semaphore(_CONCURRENT_CALLS)

    async def compare(self, temporal: Client, idle_for: timedelta) -> OpenOrdersResult:
        """Compare all open orders; those that changed within `idle_for` are left alone."""
        open_orders = rechecked = 0
        running = await self._list_running(temporal)
        async for status, order_ids in self._repository.open_orders(_PAGE_SIZE):
            open_orders += len(order_ids)
            unlisted = [one for one in order_ids if order_workflow_id(one) not in running]
            missing = await self._find_without_workflow(temporal, unlisted, order_workflow_id)
            if missing:
                await self._repository.flag_missing(missing, idle_for)
            if status is OrderStatus.PREPARING:
                unlisted = [one for one in order_ids if shipping_workflow_id(one) not in running]
                candidates = [one for one in unlisted if one not in set(missing)]
                rechecked += await self._recheck_shipments(temporal, candidates, idle_for)
        return OpenOrdersResult(
            open_orders=open_orders,
            missing=await self._repository.count_missing(),
            rechecked=rechecked,
            failing=await self._update_failing(temporal),
        )

    async def keep_failing_flagged(
        self, temporal: Client, interval: timedelta = _FAILING_INTERVAL
    ) -> None:
        """Flag orders whose workflow task fails; run this as long as the worker runs.

        A bad deployment shows before the next comparison, which costs more.
        """
        while True:
            try:
                await self._update_failing(temporal)
            except Exception as error:  # noqa: BLE001 - tried again; the worker serves its queue
                reason = type(error).__name__
                structlog.get_logger(__name__).warning("failing orders not read", error=reason)
            await asyncio.sleep(interval.total_seconds())

    async def _update_failing(self, temporal: Client) -> int:
        """Record and count the orders whose workflow task fails, or that of their shipment.

        Temporal lists a workflow when its task has failed several times in a row, and no longer
        when a task succeeds.
        """
        executions = temporal.list_workflows(_FAILING)
        listed = {parse_order_id(execution.id) async for execution in executions}
        failing = {UUID(one) for one in listed if one and _UUID.fullmatch(one)}
        await self._repository.update_failing(failing)
        return len(failing)

    @staticmethod
    async def _list_running(temporal: Client) -> set[str]:
        """Return the ids of all running workflows of orders and shipments.

        A query for each page of orders would cost more: a database may read all for each.
        """
        return {execution.id async for execution in temporal.list_workflows(_RUNNING)}

    async def _find_without_workflow(
        self, temporal: Client, order_ids: Sequence[UUID], workflow_id: Callable[[UUID], str]
    ) -> list[UUID]:
        """Return those whose workflow is not running, from the workflows themselves."""
        is_running = await asyncio.gather(
            *(self._is_running(temporal, workflow_id(one)) for one in order_ids)
        )
        return [one for one, running in zip(order_ids, is_running, strict=True) if not running]

    async def _is_running(self, temporal: Client, workflow_id: str) -> bool:
        async with self._calls:
            try:
                description = await temporal.get_workflow_handle(workflow_id).describe()
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return False
                raise
        return description.status is WorkflowExecutionStatus.RUNNING

    async def _recheck_shipments(
        self, temporal: Client, order_ids: Sequence[UUID], idle_for: timedelta
    ) -> int:
        """Make orders request their shipment again where its workflow has closed.

        A parent that was reset to its last task may never hear of the end of its child
        (temporalio/temporal issue 10639).
        """
        candidates = await self._find_without_workflow(temporal, order_ids, shipping_workflow_id)
        if not candidates:
            return 0
        waiting = await self._repository.find_idle(candidates, OrderStatus.PREPARING, idle_for)
        for order_id in waiting:
            handle = temporal.get_workflow_handle_for(
                OrderWorkflow.run, order_workflow_id(order_id)
            )
            await handle.signal(OrderWorkflow.recheck_shipment)
        return len(waiting)
