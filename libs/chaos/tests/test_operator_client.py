"""What an operator's calls do to workflows and activities of a real Temporal server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, TerminatedError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from fuze_chaos.faults.catalog import FaultError
from fuze_chaos.faults.operator_client import OperatorClient, find_activity

_TASK_QUEUE = "operators"


@workflow.defn
class Waiting:
    """Runs one activity, and returns its outcome after the signals that came before."""

    def __init__(self) -> None:
        self._signals: list[str] = []

    @workflow.run
    async def run(self) -> str:
        try:
            outcome = await workflow.execute_activity(
                "blocked",
                start_to_close_timeout=timedelta(minutes=1),
                retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10)),
                result_type=str,
            )
        except ActivityError as error:
            outcome = str(error.cause)
        return " ".join((*self._signals, outcome))

    @workflow.signal
    def note(self, text: str) -> None:
        self._signals.append(text)

    @workflow.query
    def notes(self) -> list[str]:
        return self._signals


Handle = WorkflowHandle[Waiting, str]


@dataclass
class Harness:
    """A worker whose activity waits until a test lets it end."""

    client: Client
    operator: OperatorClient
    attempts: int = 0
    ended: int = 0
    fails: bool = False
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn
    async def blocked(self) -> str:
        self.attempts += 1
        try:
            await self.may_end.wait()
            if self.fails:
                raise RuntimeError("the attempt failed")
            return "done"
        finally:
            self.ended += 1

    async def start(self) -> Handle:
        """Start a workflow, and return when its activity is running."""
        before = self.attempts
        handle = await self.client.start_workflow(
            Waiting.run, id=f"waiting/{uuid4()}", task_queue=_TASK_QUEUE
        )
        await until(lambda: self.attempts > before)
        return handle

    async def signal(self, handle: Handle, text: str) -> None:
        """Send a signal, and return when the workflow has it in a completed task."""
        await handle.signal(Waiting.note, text)
        async with asyncio.timeout(20):
            while text not in await handle.query(Waiting.notes):
                await asyncio.sleep(0.01)

    async def activity_id(self, handle: Handle) -> str:
        running = await self.operator.describe_running(handle.id)
        pending = find_activity(running) if running else None
        assert pending
        return pending.activity_id

    def latest_run(self, handle: Handle) -> Handle:
        return self.client.get_workflow_handle_for(Waiting.run, handle.id)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def harness(dev_server: WorkflowEnvironment) -> AsyncIterator[Harness]:
    client = dev_server.client
    harness = Harness(client, OperatorClient(client))
    async with Worker(
        client,
        task_queue=_TASK_QUEUE,
        workflows=[Waiting],
        activities=[harness.blocked],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield harness
        harness.may_end.set()
        # A worker that shuts down while an activity ends may wait for ever.
        await until(lambda: harness.ended == harness.attempts)


@pytest.mark.parametrize(
    ("to_first", "excludes_messages", "result"),
    [
        (True, False, "early late done"),
        (True, True, "done"),
        (False, False, "early late done"),
        (False, True, "early late done"),
    ],
)
async def test_a_reset_keeps_re_applies_or_excludes_messages(
    harness: Harness, *, to_first: bool, excludes_messages: bool, result: str
) -> None:
    handle = await harness.start()
    await harness.signal(handle, "early")
    await harness.signal(handle, "late")

    await harness.operator.reset(handle.id, to_first=to_first, excludes_messages=excludes_messages)
    harness.may_end.set()

    assert await harness.latest_run(handle).result() == result


async def test_a_batch_cancels_the_named_workflows_alone(harness: Harness) -> None:
    handles = [await harness.start() for _ in range(3)]

    await harness.operator.cancel([one.id for one in handles[:2]])

    assert [await harness.operator.is_cancel_requested(one.id) for one in handles] == [
        True,
        True,
        False,
    ]


async def test_a_paused_activity_is_retried_only_after_it_is_unpaused(harness: Harness) -> None:
    handle = await harness.start()
    activity_id = await harness.activity_id(handle)
    await harness.operator.pause_activity(handle.id, activity_id)
    harness.fails = True
    harness.may_end.set()
    async with asyncio.timeout(20):
        while not (running := await harness.operator.describe_running(handle.id)) or (
            not running.pending_activities[0].HasField("last_failure")
        ):
            await asyncio.sleep(0.01)
    assert harness.attempts == 1
    harness.fails = False

    await harness.operator.unpause_activity(handle.id, activity_id)

    assert await handle.result() == "done"
    assert harness.attempts == 2


async def test_a_failed_activity_is_retried_while_its_first_attempt_runs(harness: Harness) -> None:
    handle = await harness.start()

    await harness.operator.fail_activity(
        handle.id, await harness.activity_id(handle), is_final=False
    )
    await until(lambda: harness.attempts == 2)
    harness.may_end.set()

    assert await handle.result() == "done"


async def test_a_final_failure_is_not_retried(harness: Harness) -> None:
    handle = await harness.start()

    await harness.operator.fail_activity(
        handle.id, await harness.activity_id(handle), is_final=True
    )

    assert await handle.result() == "failed by an operator"
    assert harness.attempts == 1


async def test_a_completed_activity_has_the_result_of_the_operator(harness: Harness) -> None:
    handle = await harness.start()

    await harness.operator.complete_activity(
        handle.id, await harness.activity_id(handle), "by hand"
    )

    assert await handle.result() == "by hand"


async def test_a_terminated_workflow_is_closed(harness: Harness) -> None:
    handle = await harness.start()

    await harness.operator.terminate(handle.id)

    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, TerminatedError)
    assert await harness.operator.describe_running(handle.id) is None


async def test_a_deleted_workflow_is_unknown_to_temporal(harness: Harness) -> None:
    handle = await harness.start()

    await harness.operator.delete(handle.id)

    with pytest.raises(RPCError, match="not found"):  # noqa: PT012 - until it is deleted
        async with asyncio.timeout(20):
            while True:
                await handle.describe()
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("operation", ["terminate", "reset"])
async def test_a_call_that_temporal_refuses_is_a_fault_error(
    harness: Harness, operation: str
) -> None:
    call = {
        "terminate": lambda: harness.operator.terminate("waiting/unknown"),
        "reset": lambda: harness.operator.reset(
            "waiting/unknown", to_first=True, excludes_messages=False
        ),
    }[operation]

    with pytest.raises(FaultError, match="not found"):
        await call()


async def test_a_closed_workflow_can_be_reset(harness: Harness) -> None:
    handle = await harness.start()
    harness.may_end.set()
    await handle.result()

    await harness.operator.reset(handle.id, to_first=True, excludes_messages=True)

    assert await harness.latest_run(handle).result() == "done"
    description = await handle.describe()
    assert description.status is WorkflowExecutionStatus.COMPLETED
