"""What the replay tests of the services share: they read what `record_histories` writes."""

import ast
import inspect
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import coverage
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from fuze_runtime.worker import workflow_runner
from fuze_testing.releases import describe_owners


class RecordedHistories(Mapping[str, WorkflowHistory]):
    """The histories in a folder by the names of their scenarios, each read when it is used."""

    def __init__(self, folder: Path) -> None:
        self._paths = {path.stem: path for path in sorted(folder.glob("*.json"))}
        self._read: dict[str, WorkflowHistory] = {}

    def __getitem__(self, name: str) -> WorkflowHistory:
        if name not in self._read:
            recorded = json.loads(self._paths[name].read_text())
            self._read[name] = WorkflowHistory.from_json(
                recorded["workflow_id"], recorded["history"]
            )
        return self._read[name]

    def describe(self, failures: Mapping[str, Exception]) -> str:
        """Say what failed, which release has recorded it, and what to do: a test's message."""
        failed = "".join(f"\n  {name}: {error}" for name, error in failures.items())
        return (
            f"orders that took these paths may be open, and no longer replay:{failed}\n"
            f"{describe_owners(self._paths[name] for name in failures)}. Put the change behind "
            'workflow.patched: CONTRIBUTING.md, "Changing a workflow"'
        )

    def of(self, workflow_type: str) -> dict[str, WorkflowHistory]:
        """Return the histories of one workflow type."""
        return {
            name: history
            for name, history in self.items()
            if get_workflow_types([history]) == {workflow_type}
        }

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


async def find_replay_failures(
    workflows: Sequence[type], histories: Mapping[str, WorkflowHistory], *, sandbox: bool = True
) -> dict[str, Exception]:
    """Replay, in the sandbox, which refuses calls that are not deterministic.

    Return what failed, by the name of its history.
    """
    assert histories, "there is nothing to replay"
    names = {history.run_id: name for name, history in histories.items()}
    assert len(names) == len(histories), "two histories of one run"

    async def read() -> AsyncIterator[WorkflowHistory]:
        for history in histories.values():
            yield history

    replayer = _create_replayer(workflows, sandbox=sandbox)
    results = await replayer.replay_workflows(read(), raise_on_replay_failure=False)
    return {names[run_id]: failure for run_id, failure in results.replay_failures.items()}


async def replay_unsandboxed(workflows: Sequence[type], history: WorkflowHistory) -> None:
    """Replay workflows that the sandbox cannot import again: those that a test defines."""
    await _create_replayer(workflows, sandbox=False).replay_workflow(history)


def _create_replayer(workflows: Sequence[type], *, sandbox: bool) -> Replayer:
    return Replayer(
        workflows=workflows,
        data_converter=pydantic_data_converter,
        workflow_runner=workflow_runner(sandbox=sandbox),
    )


def get_workflow_types(histories: Iterable[WorkflowHistory]) -> set[str]:
    """Return the workflow types that are recorded."""
    return {
        history.events[0].workflow_execution_started_event_attributes.workflow_type.name
        for history in histories
    }


def iterate_results(history: WorkflowHistory) -> Iterator[dict[str, Any]]:
    """Yield every object that an activity, local or remote, has returned, oldest first."""
    for event in history.events:
        payloads: list[Payload] = []
        if event.HasField("marker_recorded_event_attributes"):
            details = event.marker_recorded_event_attributes.details
            payloads = [one for part in details.values() for one in part.payloads]
        elif event.HasField("activity_task_completed_event_attributes"):
            payloads = list(event.activity_task_completed_event_attributes.result.payloads)
        for payload in payloads:
            if payload.metadata.get("encoding") == b"json/plain":
                found = json.loads(payload.data)
                if isinstance(found, dict):
                    yield found


async def find_unreplayed_lines(
    workflows: Sequence[type],
    histories: Iterable[WorkflowHistory],
    modules: Sequence[ModuleType],
    *,
    without: Sequence[str] = (),
    untraceable: Sequence[str] = (),
) -> set[str]:
    """Return the lines of the modules' functions that no history reaches, as `module: line`.

    `without` names functions to leave out, as regular expressions: queries and validators leave
    nothing in a history. `untraceable` are lines that run only after an exception was thrown into
    an await: Python 3.11 does not trace the coroutine from there on. The replay runs unsandboxed,
    on the modules that are imported here.
    """
    measured = coverage.Coverage(
        data_file=None, config_file=False, include=[str(module.__file__) for module in modules]
    )
    for line in untraceable:
        measured.exclude(line)
    for function in without:
        measured.exclude(rf"def {function}\(")
    measured.start()  # before the replayer starts the threads of its workflows
    try:
        for history in histories:
            await replay_unsandboxed(workflows, history)
    finally:
        measured.stop()
    return {
        f"{module.__name__}: {inspect.getsource(module).splitlines()[number - 1].strip()}"
        for module in modules
        for number in _missing_lines(measured, module)
    }


def _missing_lines(measured: coverage.Coverage, module: ModuleType) -> set[int]:
    """Return the missing lines inside functions: a module's own lines ran when it was imported."""
    _, _, _, missing, _ = measured.analysis2(module)
    functions = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    inside = {
        number
        for function in functions
        for number in range(function.body[0].lineno, (function.end_lineno or 0) + 1)
    }
    return inside & set(missing)
