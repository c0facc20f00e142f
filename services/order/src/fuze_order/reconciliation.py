"""The comparison of open orders with their workflows in Temporal."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from fuze_contracts.order import OrderStatus, OrderWorkflow
from fuze_contracts.workflow_ids import order_workflow_id, shipping_workflow_id
from fuze_order.messages import OpenOrdersResult
from fuze_order.reconciliation_repository import ReconciliationRepository

_PAGE_SIZE = 1000
_CONCURRENT_CALLS = 20


class OpenOrderComparison:
    """Finds open orders without a workflow, and shipments that ended without the order.

    Temporal's visibility answers for a thousand orders at once, and may be late: what it does not
    list is looked up, and the row is read again, before anything is done.
    """

    def __init__(self, repository: ReconciliationRepository) -> None:
        self._repository = repository
        self._calls = asyncio.Semaphore(_CONCURRENT_CALLS)

    async def compare(self, temporal: Client, idle_for: timedelta) -> OpenOrdersResult:
        """Compare all open orders; those that changed within `idle_for` are left alone."""
        open_orders = rechecked = 0
        async for status, order_ids in self._repository.open_orders(_PAGE_SIZE):
            open_orders += len(order_ids)
            without = await self._find_without_workflow(temporal, map(order_workflow_id, order_ids))
            missing = [one for one in order_ids if order_workflow_id(one) in without]
            if missing:
                await self._repository.flag_missing(missing, idle_for)
            if status is OrderStatus.PREPARING:
                running = [one for one in order_ids if one not in set(missing)]
                rechecked += await self._recheck_shipments(temporal, running, idle_for)
        return OpenOrdersResult(
            open_orders=open_orders,
            missing=await self._repository.count_missing(),
            rechecked=rechecked,
        )

    async def _find_without_workflow(
        self, temporal: Client, workflow_ids: Iterable[str]
    ) -> set[str]:
        """Return those that are not running."""
        expected = list(workflow_ids)
        listed = ", ".join(f"'{one}'" for one in expected)
        query = f"ExecutionStatus = 'Running' AND WorkflowId IN ({listed})"
        executions = temporal.list_workflows(query, page_size=_PAGE_SIZE)
        running = {execution.id async for execution in executions}
        candidates = [one for one in expected if one not in running]
        is_running = await asyncio.gather(*(self._is_running(temporal, one) for one in candidates))
        return {one for one, running in zip(candidates, is_running, strict=True) if not running}

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
        closed = await self._find_without_workflow(temporal, map(shipping_workflow_id, order_ids))
        candidates = [one for one in order_ids if shipping_workflow_id(one) in closed]
        if not candidates:
            return 0
        waiting = await self._repository.find_idle(candidates, OrderStatus.PREPARING, idle_for)
        for order_id in waiting:
            handle = temporal.get_workflow_handle_for(
                OrderWorkflow.run, order_workflow_id(order_id)
            )
            await handle.signal(OrderWorkflow.recheck_shipment)
        return len(waiting)
