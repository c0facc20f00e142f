"""Temporal's sandbox, which a setting turns on."""

from uuid import uuid4

import pytest
from random_workflow import RandomWorkflow
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from fuze_runtime.settings import WorkerSettings
from fuze_runtime.worker import workflow_runner


async def draw(environment: WorkflowEnvironment, *, sandbox: bool) -> float:
    """Run a workflow that draws from Python's generator."""
    task_queue = str(uuid4())
    async with Worker(
        environment.client,
        task_queue=task_queue,
        workflows=[RandomWorkflow],
        workflow_runner=workflow_runner(sandbox=sandbox),
        workflow_failure_exception_types=[Exception],
    ):
        return await environment.client.execute_workflow(
            RandomWorkflow.run, id=task_queue, task_queue=task_queue
        )


async def test_the_sandbox_refuses_a_call_that_is_not_deterministic(
    time_skipping: WorkflowEnvironment,
) -> None:
    assert 0 <= await draw(time_skipping, sandbox=False) < 1

    with pytest.raises(WorkflowFailureError) as refused:
        await draw(time_skipping, sandbox=True)

    assert "random.random" in str(refused.value.cause)


def test_a_worker_runs_workflows_outside_the_sandbox_by_default() -> None:
    settings = WorkerSettings.model_validate({"database_url": "postgresql://127.0.0.1/unused"})

    assert not settings.workflow_sandbox
