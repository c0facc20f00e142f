"""Local first, then as long as it takes: on a Temporal server that skips time."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from fuze_runtime import step_execution
from fuze_runtime.step_execution import execute_local_then_remote, run_to_completion
from fuze_runtime.step_gate import StepGate


class Database:
    """Hangs `hangs` times, fails `failures` times, or for good, before it writes."""

    def __init__(self) -> None:
        self.failures = 0
        self.hangs = 0
        self.final = False
        self.attempts: list[bool] = []

    @activity.defn
    async def write(self, what: str) -> str:
        self.attempts.append(activity.info().is_local)
        if self.final:
            raise ApplicationError("never", type="Final", non_retryable=True)
        if self.hangs:
            self.hangs -= 1
            await asyncio.Event().wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("unavailable")
        return f"wrote {what}"


@workflow.defn
class Writing:
    """One step, and the errors that were reported to it."""

    def __init__(self) -> None:
        self.errors: list[str | None] = []
        self.on_cancel = False

    @workflow.run
    async def run(self) -> tuple[str, list[str | None], bool]:
        wrote = await run_to_completion(
            execute_local_then_remote(
                Database.write,
                "it",
                gate=StepGate(),
                summary="write it",
                on_error=self.errors.append,
            ),
            on_cancel=self._request_cancel,
        )
        return wrote, self.errors, self.on_cancel

    def _request_cancel(self) -> None:
        self.on_cancel = True


Outcome = tuple[str, list[str | None], bool]


class Desk:
    def __init__(self, environment: WorkflowEnvironment, database: Database) -> None:
        self.environment = environment
        self.database = database

    async def start(self) -> WorkflowHandle[Writing, Outcome]:
        return await self.environment.client.start_workflow(
            Writing.run, id=str(uuid4()), task_queue="steps"
        )


@pytest.fixture
async def desk(time_skipping: WorkflowEnvironment) -> AsyncIterator[Desk]:
    database = Database()
    async with Worker(
        time_skipping.client,
        task_queue="steps",
        workflows=[Writing],
        activities=[database.write],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield Desk(time_skipping, database)


async def test_a_step_that_works_is_one_local_attempt(desk: Desk) -> None:
    wrote, errors, _ = await (await desk.start()).result()

    assert (wrote, errors, desk.database.attempts) == ("wrote it", [], [True])


async def test_a_hiccup_is_outlived_locally(desk: Desk) -> None:
    desk.database.failures = 1

    _, errors, _ = await (await desk.start()).result()

    assert desk.database.attempts == [True] * 2
    assert errors == []


async def test_an_outage_is_left_to_the_server_and_reported(desk: Desk) -> None:
    desk.database.failures = 10

    _, errors, _ = await (await desk.start()).result()

    assert desk.database.attempts == [True] * 2 + [False] * 9
    assert errors == ["ConnectionError: unavailable", None]


async def test_an_order_whose_database_hung_goes_on_in_another_worker(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The time-out of a local attempt is one error where it happens, and another when replayed.
    monkeypatch.setattr(step_execution, "_LOCAL_ATTEMPT_TIMEOUT", timedelta(seconds=0.1))
    desk.database.hangs = 2
    handle = await desk.start()

    assert (await handle.result())[0] == "wrote it"

    assert desk.database.attempts == [True] * 2 + [False]
    replayer = Replayer(workflows=[Writing], workflow_runner=UnsandboxedWorkflowRunner())
    await replayer.replay_workflow(await handle.fetch_history())


async def test_a_final_failure_is_not_repeated_and_keeps_its_type(desk: Desk) -> None:
    desk.database.final = True

    with pytest.raises(WorkflowFailureError) as failure:
        await (await desk.start()).result()

    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == "Final"
    assert desk.database.attempts == [True]


async def test_a_cancelled_step_is_finished_first(desk: Desk) -> None:
    desk.database.failures = 10
    handle = await desk.start()
    await handle.cancel()

    wrote, _, cancel_requested = await handle.result()

    assert (wrote, cancel_requested) == ("wrote it", True)


async def test_a_cancellation_in_the_moment_the_step_ends_does_not_lose_its_result() -> None:
    """A workflow task can deliver the step's completion and then the cancellation, together."""
    step: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    cancellations: list[str] = []

    async def run_step() -> str:
        return await step

    async def run() -> str:
        return await run_to_completion(
            run_step(), on_cancel=lambda: cancellations.append("requested")
        )

    running = asyncio.ensure_future(run())
    await asyncio.sleep(0.01)
    step.set_result("done")
    running.cancel()

    assert await running == "done"
    assert cancellations == ["requested"]
