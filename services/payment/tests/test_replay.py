"""Every recorded history of the payment workflows replays; `make histories` records them."""

from pathlib import Path

import pytest
from replaying import kinds_of_workflow, never_replayed, recorded_in, replay
from temporalio.client import WorkflowHistory

from fuze_payment import workflows
from fuze_payment.workflows import PaymentWebhookWorkflow, ReconcileWorkflow, RefundWorkflow

_HISTORIES = recorded_in(Path(__file__).parent / "histories/0.1")
_WORKFLOWS = (RefundWorkflow, ReconcileWorkflow, PaymentWebhookWorkflow)


@pytest.mark.parametrize("recorded", _HISTORIES.values(), ids=_HISTORIES)
async def test_a_recorded_workflow_replays(recorded: WorkflowHistory) -> None:
    await replay(_WORKFLOWS, recorded)


def test_every_workflow_has_a_history() -> None:
    assert kinds_of_workflow(_HISTORIES.values()) == {one.__name__ for one in _WORKFLOWS}


async def test_the_histories_cover_every_line_of_the_workflows() -> None:
    """A new way through a workflow needs a history: `tests-e2e/ways_of_others.py`."""
    never = await never_replayed(_WORKFLOWS, _HISTORIES.values(), [workflows], but=frozenset())

    assert never == set()
