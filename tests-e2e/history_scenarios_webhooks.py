"""Scenarios of the workflow of a webhook endpoint."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
from history_scenarios import Handle, Scenarios, until_started
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

_BATCHES_PER_RUN = 60


class WebhookScenarios(Scenarios):
    """Endpoints to which nothing listens: their workflows run batches all the same."""

    async def endpoint_deleted(self) -> Handle:
        async with self._endpoint() as workflow:
            return workflow

    async def continued_as_new(self) -> Handle:
        async with self._endpoint() as workflow:
            for number in range(1, _BATCHES_PER_RUN + 1):
                await self._end_batch(workflow, str(number))
            return workflow

    async def _end_batch(self, workflow: Handle, activity_id: str) -> None:
        """End a batch, which would take a minute, as an operator can."""
        batch = self.client.get_async_activity_handle(
            workflow_id=workflow.id, run_id=workflow.run_id, activity_id=activity_id
        )
        while True:
            with contextlib.suppress(RPCError):  # it has not started yet
                await batch.complete({"is_stopped": False})
                return
            await asyncio.sleep(0.05)

    @contextlib.asynccontextmanager
    async def _endpoint(self) -> AsyncIterator[Handle]:
        """Create an endpoint, yield its workflow once it runs a batch, and delete the endpoint."""
        gateway = self.stack["gateway"]["url"]
        async with httpx.AsyncClient(base_url=gateway, trust_env=False) as http:
            created = await http.post(
                "/webhook-endpoints", json={"url": "http://127.0.0.1:9/webhooks"}
            )
            endpoint_id = created.raise_for_status().json()["endpoint_id"]
            yield await self._until_running(f"webhook-endpoint/{endpoint_id}")
            deleted = await http.delete(f"/webhook-endpoints/{endpoint_id}")
            deleted.raise_for_status()

    async def _until_running(self, workflow_id: str) -> Handle:
        """Wait until a worker has started the workflow; return its first run."""
        while True:
            with contextlib.suppress(RPCError):
                found = await self.client.get_workflow_handle(workflow_id).describe()
                assert found.status is WorkflowExecutionStatus.RUNNING
                workflow = self.client.get_workflow_handle(workflow_id, run_id=found.run_id)
                await until_started(workflow)
                return workflow
            await asyncio.sleep(0.1)
