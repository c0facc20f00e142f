"""Recorded workflow histories replay on the current code; `make histories` records them."""

from pathlib import Path

import pytest
from replaying import kinds_of_workflow, never_replayed, recorded_in, replay, results_in
from temporalio.client import WorkflowHistory

from fuze_shipping import workflows
from fuze_shipping.workflows import CarrierWebhookWorkflow, ShippingWorkflow

_HISTORIES = recorded_in(Path(__file__).parent / "histories/0.1")
_WORKFLOWS = (ShippingWorkflow, CarrierWebhookWorkflow)
_NOT_IN_HISTORIES = frozenset({"status"})


@pytest.mark.parametrize("recorded", _HISTORIES.values(), ids=_HISTORIES)
async def test_a_recorded_history_replays(recorded: WorkflowHistory) -> None:
    await replay(_WORKFLOWS, recorded)


def test_every_workflow_of_the_service_is_recorded() -> None:
    assert kinds_of_workflow(_HISTORIES.values()) == {"ShippingWorkflow", "CarrierWebhookWorkflow"}


def test_every_outcome_is_recorded() -> None:
    outcomes = {
        found["outcome"]
        for every in _HISTORIES.values()
        for found in results_in(every)
        if "outcome" in found
    }

    assert outcomes >= {"shipped", "address_rejected", "cancelled", "already_dispatched"}


async def test_every_line_of_the_workflows_is_replayed() -> None:
    """A new path through a workflow needs a scenario that `make histories` records."""
    never = await never_replayed(
        _WORKFLOWS, _HISTORIES.values(), [workflows], but=_NOT_IN_HISTORIES
    )

    assert never == set()
