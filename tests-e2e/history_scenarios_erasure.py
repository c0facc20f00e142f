"""The scenario of an erasure: the history of an EraseCustomerWorkflow."""

from uuid import uuid4

from history_scenarios import Handle, Scenarios, until_ended

from fuze_contracts.order import ORDER_TASK_QUEUE


class ErasureScenarios(Scenarios):
    """The erasure of a customer whose orders have ended."""

    async def customer_erased(self) -> Handle:
        await until_ended(await self._approved(customer="ada"))
        erasure_id = uuid4()
        return await self.client.start_workflow(
            "EraseCustomerWorkflow",
            {"erasure_id": str(erasure_id), "customer": "ada"},
            id=f"erasure/{erasure_id}",
            task_queue=ORDER_TASK_QUEUE,
        )
