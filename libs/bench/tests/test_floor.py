"""The floor has Fuze's topology."""

from contextlib import AsyncExitStack

from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from fuze_bench.clients import FloorClient
from fuze_bench.load import build_order
from fuze_bench.sides import floor
from fuze_bench.sides.floor_workflows import order_workflow_id, shipping_id
from fuze_bench.temporal_stats import read_history_cost


async def test_an_order_is_five_local_activities_a_remote_one_and_a_child(
    dev_server: WorkflowEnvironment,
) -> None:
    order, client = build_order(0), FloorClient(dev_server.client)
    order_id = order["order_id"]
    async with AsyncExitStack() as workers:
        for role in floor.ROLES.values():
            await workers.enter_async_context(
                Worker(
                    dev_server.client,
                    task_queue=role.task_queue,
                    workflows=role.workflows,
                    activities=role.activities,
                )
            )
        await client.start(order)
        await client.approve(order_id)
        await client.wait_until_shipped(order_id)

    history = await dev_server.client.get_workflow_handle(
        order_workflow_id(order_id)
    ).fetch_history()
    types = [event.event_type for event in history.events]
    assert types.count(EventType.EVENT_TYPE_MARKER_RECORDED) == 5
    assert types.count(EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED) == 1
    assert types.count(EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED) == 1
    assert list(await client.shipped_at([order_id])) == [order_id]
    cost = await read_history_cost(
        dev_server.client, [order_id], lambda one: (order_workflow_id(one), shipping_id(one))
    )
    assert cost.events > len(types)
    assert cost.workflow_tasks >= 4
