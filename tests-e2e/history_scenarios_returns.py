"""Scenarios of returns: each is the history of a ReturnWorkflow."""

import contextlib
from typing import Any
from uuid import uuid4

from history_scenarios import Handle, Scenarios, order_id, until_ended
from temporalio.client import WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy

from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_contracts.order_lines import OrderLine
from fuze_contracts.refund_allocation import RefundLine
from fuze_contracts.returns import ChangeReturn, RequestReturn, ReturnAction, ReturnWorkflow
from fuze_contracts.workflow_ids import return_workflow_id


class ReturnScenarios(Scenarios):
    """Returns of shipped orders, and one of an order that is not shipped."""

    async def return_refunded(self) -> Handle:
        request = await self._request(await self._shipped())
        await self._change(request, ReturnAction.APPROVE)
        return await self._change(request, ReturnAction.RECEIVE)

    async def return_of_free_lines(self) -> Handle:
        free = OrderLine(sku="GIFT-1", quantity=1, unit_price_minor=0)
        paid = OrderLine(sku="TEAPOT-1", quantity=1, unit_price_minor=1999)
        request = await self._request(await self._shipped(lines=(free, paid)))
        await self._change(request, ReturnAction.APPROVE)
        return await self._change(request, ReturnAction.RECEIVE)

    async def return_refund_failed(self) -> Handle:
        order = await self._shipped()
        request = await self._request(order)
        await self._execute(
            "UPDATE payments.payments SET state = 'voided' WHERE order_id = $1", order_id(order)
        )
        await self._change(request, ReturnAction.APPROVE)
        return await self._change(request, ReturnAction.RECEIVE)

    async def return_refused(self) -> Handle:
        return self._handle(await self._request(await self._waiting()))

    async def return_changed_elsewhere(self) -> Handle:
        request = await self._request(await self._shipped())
        await self._execute(
            "UPDATE orders.returns SET status = 'rejected' WHERE id = $1", request.return_id
        )
        with contextlib.suppress(WorkflowUpdateFailedError):
            await self._change(request, ReturnAction.APPROVE)
        return self._handle(request)

    async def _shipped(self, **changes: object) -> Handle:
        order = await self._approved(**changes)
        await until_ended(order)
        return order

    def _start(self, request: RequestReturn) -> WithStartWorkflowOperation[ReturnWorkflow, Any]:
        return WithStartWorkflowOperation(
            ReturnWorkflow.run,
            request,
            id=return_workflow_id(request.order_id, request.return_id),
            task_queue=ORDER_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )

    def _handle(self, request: RequestReturn) -> Handle:
        return self.client.get_workflow_handle(
            return_workflow_id(request.order_id, request.return_id)
        )

    async def _request(self, order: Handle) -> RequestReturn:
        request = RequestReturn(
            order_id=order_id(order),
            return_id=uuid4(),
            lines=(RefundLine(line_id="1", quantity=1),),
            reason="does not fit",
            actor="ada",
        )
        await self.client.execute_update_with_start_workflow(
            ReturnWorkflow.get_request_outcome, start_workflow_operation=self._start(request)
        )
        return request

    async def _change(self, request: RequestReturn, action: ReturnAction) -> Handle:
        await self.client.execute_update_with_start_workflow(
            ReturnWorkflow.change,
            ChangeReturn(action=action, actor="grace"),
            start_workflow_operation=self._start(request),
        )
        return self._handle(request)
