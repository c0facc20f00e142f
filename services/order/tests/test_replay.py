"""Every recorded path through an order's workflow replays: `make histories` records them."""

from pathlib import Path

from replay_helpers import (
    RecordedHistories,
    find_replay_failures,
    find_unreplayed_lines,
    get_workflow_types,
    iterate_results,
)
from temporalio.client import WorkflowHistory

from fuze_contracts.order_states import TERMINAL_STATUSES, EventType
from fuze_order import (
    erasure_workflow,
    fulfillment,
    message_handlers,
    return_workflow,
    service_calls,
    state,
    step_runner,
    workflows,
)
from fuze_order.erasure_workflow import EraseCustomerWorkflow
from fuze_order.reconciliation_workflow import ReconcileOrdersWorkflow
from fuze_order.return_workflow import ReturnWorkflow
from fuze_order.workflows import OrderWorkflow

_WORKFLOWS = (OrderWorkflow, ReturnWorkflow, ReconcileOrdersWorkflow, EraseCustomerWorkflow)
_HISTORIES = RecordedHistories(Path(__file__).parent / "histories")
_MODULES = (
    workflows,
    fulfillment,
    message_handlers,
    state,
    step_runner,
    service_calls,
    return_workflow,
    erasure_workflow,
)

# Queries and validators leave nothing in a history; `_nothing` is a default that is never awaited.
_WITHOUT_TRACE = (r"_?validate_\w+_\w+", r"_require_\w+", "signal_rejection", "status", "_nothing")


def _transitions(history: WorkflowHistory) -> list[dict[str, object]]:
    return [
        found for found in iterate_results(history) if {"seq", "type", "status"} <= found.keys()
    ]


async def test_every_recorded_order_replays() -> None:
    failures = await find_replay_failures(_WORKFLOWS, _HISTORIES)

    assert failures == {}, _HISTORIES.describe(failures)


def test_every_event_of_an_order_is_in_some_recorded_history() -> None:
    recorded = {str(one["type"]) for every in _HISTORIES.values() for one in _transitions(every)}
    # The first event is stored with the order itself, in a step without a result. The payment
    # service reports the refunds that callers request; returns have workflows of their own.
    elsewhere = {EventType.REFUND_REQUESTED, EventType.REFUND_FAILED}
    elsewhere |= {event for event in EventType if event.startswith("return_")}
    assert set(EventType) - recorded == {EventType.ORDER_RECEIVED} | elsewhere


def test_every_end_of_an_order_is_the_end_of_some_recorded_history() -> None:
    ends = {
        str(transitions[-1]["status"])
        for every in _HISTORIES.values()
        if (transitions := _transitions(every))
    }

    assert TERMINAL_STATUSES - ends == set()


def test_every_workflow_of_the_service_is_recorded() -> None:
    assert get_workflow_types(_HISTORIES.values()) == {one.__name__ for one in _WORKFLOWS}


async def test_every_line_of_the_workflow_is_on_some_recorded_history() -> None:
    """A new path through the workflow needs a scenario: `tests-e2e/history_scenarios_*.py`."""
    missing = await find_unreplayed_lines(
        _WORKFLOWS, _HISTORIES.values(), _MODULES, without=_WITHOUT_TRACE
    )

    assert missing == set()


async def test_a_line_that_no_history_reaches_is_found() -> None:
    missing = await find_unreplayed_lines(
        _WORKFLOWS, [_HISTORIES["shipped"]], _MODULES, without=_WITHOUT_TRACE
    )

    assert any("ORDER_EXPIRED" in line for line in missing)
    assert not any("ORDER_SHIPPED" in line for line in missing)
