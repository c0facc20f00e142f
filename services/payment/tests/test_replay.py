"""Every recorded way through the workflows of payments replays: `make histories` records."""

from pathlib import Path

from replay_helpers import (
    RecordedHistories,
    find_replay_failures,
    find_unreplayed_lines,
    get_workflow_types,
)

from fuze_payment import workflows
from fuze_payment.workflows import PaymentWebhookWorkflow, ReconcilePaymentsWorkflow, RefundWorkflow

_HISTORIES = RecordedHistories(Path(__file__).parent / "histories")
_WORKFLOWS = (RefundWorkflow, ReconcilePaymentsWorkflow, PaymentWebhookWorkflow)


async def test_every_recorded_workflow_replays() -> None:
    failures = await find_replay_failures(_WORKFLOWS, _HISTORIES)

    assert failures == {}, _HISTORIES.describe(failures)


def test_every_workflow_of_the_service_is_recorded() -> None:
    assert get_workflow_types(_HISTORIES.values()) == {one.__name__ for one in _WORKFLOWS}


async def test_every_line_of_the_workflows_is_on_some_recorded_history() -> None:
    """A new way through a workflow needs a history: `tests-e2e/history_scenarios_services.py`."""
    never = await find_unreplayed_lines(_WORKFLOWS, _HISTORIES.values(), [workflows])

    assert never == set()
