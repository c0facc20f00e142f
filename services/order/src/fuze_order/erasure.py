"""The activities of EraseCustomerWorkflow in the order service."""

from typing import TYPE_CHECKING

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from fuze_contracts.erasure import ErasePersonalData, ErasureActivities, PersonalDataErased
from fuze_contracts.workflow_ids import order_workflow_id, shipping_workflow_id
from fuze_order.messages import CustomerOrders, DeleteHistories, EraseCustomer
from fuze_runtime.heartbeats import heartbeats

if TYPE_CHECKING:  # the workflow imports this module, and must not reach a database driver
    from temporalio.client import Client

    from fuze_order.erasure_repository import ErasureRepository

CUSTOMER_HAS_OPEN_ORDERS = "CustomerHasOpenOrders"
"""Error type, final: an order, a refund or a return of the customer has not ended."""

WORKFLOW_OPEN = "WorkflowOpen"
"""Error type, retried: a workflow of an order that has ended is about to close."""

_LISTED = 3
"""Open orders that an error names."""


class OrderErasureActivities(ErasureActivities):
    """Each is idempotent: what is erased already is left as it is."""

    def __init__(self, repository: "ErasureRepository") -> None:
        self._repository = repository

    @activity.defn
    async def customer_orders_found(self, command: EraseCustomer) -> CustomerOrders:
        """Return the customer's orders.

        Raises:
            ApplicationError: `CUSTOMER_HAS_OPEN_ORDERS`, final.

        """
        if open_orders := await self._repository.list_open(command.customer):
            listed = ", ".join(str(one) for one in open_orders[:_LISTED])
            raise ApplicationError(
                f"the customer has {len(open_orders)} open orders, such as {listed}; cancel them,"
                " or wait until they, their refunds and their returns have ended",
                type=CUSTOMER_HAS_OPEN_ORDERS,
                non_retryable=True,
            )
        return await self._repository.find(command)

    @activity.defn
    async def histories_deleted(self, command: DeleteHistories) -> None:
        """Delete the workflows of the orders: their histories have what was sent.

        Temporal deletes them some minutes later.

        Raises:
            ApplicationError: `WORKFLOW_OPEN`; retry.

        """
        client = activity.client()
        async with heartbeats():
            for order_id in command.order_ids:
                query = (
                    f"WorkflowId = '{order_workflow_id(order_id)}'"
                    f" OR WorkflowId = '{shipping_workflow_id(order_id)}'"
                    f" OR WorkflowId STARTS_WITH 'refund/{order_id}/'"
                    f" OR WorkflowId STARTS_WITH 'return/{order_id}/'"
                )
                async for one in client.list_workflows(query):
                    if one.close_time is None:
                        raise ApplicationError(f"{one.id} has not closed yet", type=WORKFLOW_OPEN)
                    await delete_history(client, one.id, one.run_id)

    @activity.defn
    async def personal_data_erased(self, command: ErasePersonalData) -> PersonalDataErased:
        """Erase orders, returns and events in one transaction."""
        return PersonalDataErased(rows=await self._repository.erase(command))


async def delete_history(client: "Client", workflow_id: str, run_id: str | None) -> None:
    """Delete a closed workflow; without effect where Temporal has it no longer."""
    request = DeleteWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id or ""),
    )
    try:
        await client.workflow_service.delete_workflow_execution(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
