"""Every recorded way through an order's life replays on today's code: `make histories` records."""

from pathlib import Path

import pytest
from replaying import kinds_of_workflow, never_replayed, recorded_in, replay, results_in
from temporalio.client import WorkflowHistory

from fuze_contracts.order import TERMINAL_STATUSES, EventType
from fuze_order import asked, calls, following, inbox, persistence, progress, workflows
from fuze_order.workflows import OrderWorkflow

_HISTORIES = recorded_in(Path(__file__).parent / "histories/0.1")
_LIFE = (workflows, inbox, progress, persistence, following, calls, asked)

# Queries and validators leave nothing in a history; `_nothing` is what is never awaited.
_WITHOUT_TRACE = frozenset(
    {
        *("_may_approve", "_may_reject", "_may_cancel", "_may_change_address"),
        *("_may_change_payment_method", "_may_retry", "_still_before_approval"),
        *("status", "_nothing"),
    }
)


def _transitions(history: WorkflowHistory) -> list[dict[str, object]]:
    return [found for found in results_in(history) if {"seq", "type", "status"} <= found.keys()]


@pytest.mark.parametrize("recorded", _HISTORIES.values(), ids=_HISTORIES)
async def test_a_recorded_order_replays(recorded: WorkflowHistory) -> None:
    await replay([OrderWorkflow], recorded)


def test_every_event_of_an_order_is_in_some_recorded_history() -> None:
    recorded = {str(one["type"]) for every in _HISTORIES.values() for one in _transitions(every)}
    # Steps of their own write the first two; an order that comes further has both.
    first = {EventType.ORDER_RECEIVED, EventType.ORDER_VALIDATED}

    assert recorded
    assert set(EventType) - first - recorded == set()


def test_every_end_of_an_order_is_the_end_of_some_recorded_history() -> None:
    ends = {
        str(transitions[-1]["status"])
        for every in _HISTORIES.values()
        if (transitions := _transitions(every))
    }

    assert TERMINAL_STATUSES - ends == set()


def test_no_other_workflow_is_among_the_orders() -> None:
    assert kinds_of_workflow(_HISTORIES.values()) == {"OrderWorkflow"}


async def test_every_line_of_an_orders_life_is_on_some_recorded_way() -> None:
    """A new way through the workflow needs a history: `tests-e2e/ways_of_orders.py` and beside."""
    never = await never_replayed([OrderWorkflow], _HISTORIES.values(), _LIFE, but=_WITHOUT_TRACE)

    assert never == set()
