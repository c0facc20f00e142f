"""Every recorded way through the workflows of payments replays: `make histories` records."""

from pathlib import Path

import pytest
from replay_helpers import RecordedHistories, find_unreplayed_lines, get_workflow_types, replay

from fuze_payment import workflows
from fuze_payment.workflows import PaymentWebhookWorkflow, ReconcilePaymentsWorkflow, RefundWorkflow

_HISTORIES = RecordedHistories(Path(__file__).parent / "histories/0.1")
_WORKFLOWS = (RefundWorkflow, ReconcilePaymentsWorkflow, PaymentWebhookWorkflow)


@pytest.mark.parametrize("name", _HISTORIES)
async def test_a_recorded_workflow_replays(name: str) -> None:
    await replay(_WORKFLOWS, _HISTORIES[name])


def test_every_workflow_of_the_service_is_recorded() -> None:
    assert get_workflow_types(_HISTORIES.values()) == {one.__name__ for one in _WORKFLOWS}


async def test_every_line_of_the_workflows_is_on_some_recorded_history() -> None:
    """A new way through a workflow needs a history: `tests-e2e/history_scenarios_services.py`."""
    never = await find_unreplayed_lines(_WORKFLOWS, _HISTORIES.values(), [workflows])

    assert never == set()
