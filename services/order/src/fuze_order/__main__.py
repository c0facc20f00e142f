"""The order service's process: the only place where its parts are wired."""

from fuze_contracts.order import ORDER_TASK_QUEUE, describe_workflow
from fuze_order.activities import OrderActivities
from fuze_order.repository import OrderRepository
from fuze_order.settings import OrderSettings
from fuze_order.workflows import OrderWorkflow
from fuze_runtime import process, worker
from fuze_runtime.database import create_engine


async def work() -> None:
    """Serve the order queue until SIGTERM."""
    settings = process.load(OrderSettings)
    engine = create_engine(settings, "fuze-order")
    activities = OrderActivities(OrderRepository(engine))
    try:
        await worker.run(
            settings,
            worker.Workload(
                task_queue=ORDER_TASK_QUEUE,
                workflows=[OrderWorkflow],
                activities=[
                    activities.order_received,
                    activities.validate_order,
                    activities.record_transition,
                    activities.address_judged,
                ],
                passed_through=["fuze_order.activities", "fuze_order.messages", "fuze_order.rules"],
            ),
        )
    finally:
        await engine.dispose()


if __name__ == "__main__":
    process.main("order", work, describe_workflow=describe_workflow)
