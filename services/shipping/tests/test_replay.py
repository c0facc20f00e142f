"""Every recorded way through a shipment replays on today's code: `make histories` records."""

from pathlib import Path

from replay_helpers import (
    RecordedHistories,
    find_replay_failures,
    find_unreplayed_lines,
    get_workflow_types,
    iterate_results,
)

from fuze_shipping import workflows
from fuze_shipping.workflows import CarrierWebhookWorkflow, ShippingWorkflow

_HISTORIES = RecordedHistories(Path(__file__).parent / "histories")
_WORKFLOWS = (ShippingWorkflow, CarrierWebhookWorkflow)
_WITHOUT_TRACE = ("status",)


async def test_every_recorded_shipment_replays() -> None:
    failures = await find_replay_failures(_WORKFLOWS, _HISTORIES)

    assert failures == {}, _HISTORIES.describe(failures)


def test_every_workflow_of_the_service_is_recorded() -> None:
    assert get_workflow_types(_HISTORIES.values()) == {"ShippingWorkflow", "CarrierWebhookWorkflow"}


def test_every_outcome_of_a_shipment_is_in_some_recorded_history() -> None:
    outcomes = {
        found["outcome"]
        for every in _HISTORIES.values()
        for found in iterate_results(every)
        if "outcome" in found
    }

    assert outcomes >= {"shipped", "address_rejected", "cancelled", "already_dispatched"}


async def test_every_line_of_the_workflows_is_on_some_recorded_history() -> None:
    """A new way through a workflow needs a history: `tests-e2e/history_scenarios_services.py`."""
    never = await find_unreplayed_lines(
        _WORKFLOWS,
        _HISTORIES.values(),
        [workflows],
        without=_WITHOUT_TRACE,
        untraceable=[
            r"self\._cancel_requested = False$",
            r"if await self\._finish\(self\._cancel_shipment\(\)\):",
        ],
    )

    assert never == set()
