"""Every recorded way through an order's life replays on today's code: `make histories` records."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from fuze_contracts.order import TERMINAL_STATUSES, EventType, OrderStatus
from fuze_order.workflows import OrderWorkflow

_HISTORIES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "histories").glob("*.json"))
}


def test_there_is_a_history_of_every_end() -> None:
    ends = {_end(recorded) for recorded in _HISTORIES.values()}

    assert ends == {*TERMINAL_STATUSES, "canceled"}


def test_there_is_a_history_of_everything_that_can_happen_to_an_order() -> None:
    happened = {
        found
        for recorded in _HISTORIES.values()
        for message in _messages(recorded["history"])
        for found in re.findall(r'"type":"([a-z_]+)"', message)
    }

    in_every_history = {EventType.ORDER_RECEIVED, EventType.ORDER_VALIDATED}
    assert happened | in_every_history == set(EventType)


def test_there_is_a_history_of_everything_that_an_order_can_be_told() -> None:
    told = {
        name for recorded in _HISTORIES.values() for name in _told(recorded["history"]["events"])
    }

    definition = workflow._Definition.must_from_class(OrderWorkflow)
    assert told == {*definition.signals, *definition.updates}


def _end(recorded: dict[str, Any]) -> str:
    """Return the status in which a workflow closed; one that Temporal cancelled has none."""
    last = recorded["history"]["events"][-1]
    if "workflowExecutionFailedEventAttributes" in last:
        return OrderStatus.REJECTED  # by the rules: nothing else fails it
    if "workflowExecutionCanceledEventAttributes" in last:
        return "canceled"
    [result] = _messages(last)
    return str(json.loads(result)["status"])


def _told(events: list[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        if signal := event.get("workflowExecutionSignaledEventAttributes"):
            yield signal["signalName"]
        if update := event.get("workflowExecutionUpdateAcceptedEventAttributes"):
            yield update["acceptedRequest"]["input"]["name"]


def _messages(part: Any) -> Iterator[str]:  # noqa: ANN401 - any part of a JSON document
    """Yield every message in a history, as JSON."""
    if isinstance(part, dict):
        if isinstance(data := part.get("data"), str):
            yield base64.b64decode(data).decode(errors="replace")
        part = list(part.values())
    if isinstance(part, list):
        for one in part:
            yield from _messages(one)


@pytest.mark.parametrize("recorded", _HISTORIES.values(), ids=_HISTORIES)
async def test_a_recorded_order_replays(recorded: dict[str, Any]) -> None:
    history = WorkflowHistory.from_json(recorded["workflow_id"], recorded["history"])

    replayer = Replayer(workflows=[OrderWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)
