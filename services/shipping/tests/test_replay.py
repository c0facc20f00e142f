"""Every recorded way through a shipment replays on today's code: `make histories` records."""

import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from fuze_shipping.workflows import ShippingWorkflow

_HISTORIES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "histories").glob("*.json"))
}


def test_there_is_a_history_of_every_end() -> None:
    assert _HISTORIES.keys() >= {"shipped"}


@pytest.mark.parametrize("recorded", _HISTORIES.values(), ids=_HISTORIES)
async def test_a_recorded_shipment_replays(recorded: dict[str, Any]) -> None:
    history = WorkflowHistory.from_json(recorded["workflow_id"], recorded["history"])

    replayer = Replayer(workflows=[ShippingWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)
