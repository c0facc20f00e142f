"""What the replay tests of the services have in common: the other side of `record_histories`."""

import inspect
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner


def recorded_in(folder: Path) -> dict[str, WorkflowHistory]:
    """Return the recorded histories by the names of their ways."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}


def _read(path: Path) -> WorkflowHistory:
    recorded = json.loads(path.read_text())
    return WorkflowHistory.from_json(recorded["workflow_id"], recorded["history"])


async def replay(workflows: Sequence[type], history: WorkflowHistory) -> None:
    """Replay as a worker does, in the sandbox."""
    replayer = Replayer(workflows=workflows, data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)


async def replay_unsandboxed(workflows: Sequence[type], history: WorkflowHistory) -> None:
    """Replay workflows that cannot be imported again: those that a test makes."""
    replayer = Replayer(
        workflows=workflows,
        data_converter=pydantic_data_converter,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await replayer.replay_workflow(history)


def kinds_of_workflow(histories: Iterable[WorkflowHistory]) -> set[str]:
    """Return the workflow types that are recorded."""
    return {
        history.events[0].workflow_execution_started_event_attributes.workflow_type.name
        for history in histories
    }


def results_in(history: WorkflowHistory) -> Iterator[dict[str, Any]]:
    """Return every object that an activity, local or remote, has returned, oldest first."""
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


async def never_replayed(
    workflows: Sequence[type],
    histories: Iterable[WorkflowHistory],
    modules: Sequence[ModuleType],
    *,
    but: frozenset[str],
) -> set[str]:
    """Return the lines of these modules that no history comes to, as `module: line`.

    Left out are the functions named in `but`: queries and validators leave nothing in a history.
    """
    reached: set[tuple[str, int]] = set()
    files = {module.__file__ for module in modules}

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - as `sys` has it
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            reached.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    measured = threading.gettrace()  # coverage.py's
    threading.settrace(trace)  # workflows run in threads that are started from here on
    try:
        for history in histories:
            await replay_unsandboxed(workflows, history)
    finally:
        threading.settrace(measured)
    return {
        f"{module.__name__}: {line}"
        for module in modules
        for number, line in _lines(module, but)
        if (module.__file__, number) not in reached
    }


def _lines(module: ModuleType, but: frozenset[str]) -> Iterator[tuple[int, str]]:
    text = inspect.getsource(module)
    lines = text.splitlines()
    whole = compile(text, str(module.__file__), "exec", dont_inherit=True)
    for number in sorted(_of_functions(whole, but)):
        yield number, lines[number - 1].strip()


def _of_functions(code: CodeType, but: frozenset[str]) -> set[int]:
    """Return the numbers of the lines in functions, at whatever depth."""
    found: set[int] = set()
    for one in code.co_consts:
        if isinstance(one, CodeType) and one.co_name not in but:
            found |= _of_functions(one, but)
            if one.co_flags & inspect.CO_OPTIMIZED:
                numbers = {number for _, _, number in one.co_lines() if number}
                found |= numbers - {one.co_firstlineno}
    return found
