"""Every recorded path through an endpoint's workflow replays: `make histories` records."""

from pathlib import Path

from replay_helpers import (
    RecordedHistories,
    find_replay_failures,
    find_unreplayed_lines,
    get_workflow_types,
)

from fuze_webhooks import workflows
from fuze_webhooks.workflows import WebhookEndpointWorkflow

_HISTORIES = RecordedHistories(Path(__file__).parent / "histories")
_WORKFLOWS = (WebhookEndpointWorkflow,)


async def test_every_recorded_workflow_replays() -> None:
    assert await find_replay_failures(_WORKFLOWS, _HISTORIES) == {}


def test_every_workflow_of_the_service_is_recorded() -> None:
    assert get_workflow_types(_HISTORIES.values()) == {one.__name__ for one in _WORKFLOWS}


async def test_every_line_of_the_workflow_is_on_some_recorded_history() -> None:
    """A new way through it needs a scenario: `tests-e2e/history_scenarios_webhooks.py`."""
    missing = await find_unreplayed_lines(_WORKFLOWS, _HISTORIES.values(), [workflows])

    assert missing == set()
