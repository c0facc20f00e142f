"""What an order costs Temporal: the events and workflow tasks in its histories."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

WorkflowIds = Callable[[str], Sequence[str]]
"""Returns the ids of the workflows of one order."""


@dataclass(frozen=True)
class HistoryCost:
    """Means per order, over its order workflow and its shipping workflow."""

    events: float
    workflow_tasks: float
    """Those that a worker completed."""


async def read_history_cost(
    temporal: Client, order_ids: Sequence[str], workflow_ids: WorkflowIds
) -> HistoryCost:
    """Read the histories of these orders."""
    events, tasks = [], []
    for order_id in order_ids:
        types = [
            event.event_type
            for workflow_id in workflow_ids(order_id)
            async for event in temporal.get_workflow_handle(workflow_id).fetch_history_events()
        ]
        events.append(len(types))
        tasks.append(types.count(EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED))
    return HistoryCost(events=mean(events), workflow_tasks=mean(tasks))
