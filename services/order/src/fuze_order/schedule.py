"""The schedule of the reconciliation, created by whichever worker starts first."""

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_order.reconciliation_workflow import ReconcileOrdersWorkflow
from fuze_order.settings import OrderSettings

RECONCILIATION_SCHEDULE = "reconcile-orders"


async def ensure_schedule(client: Client, settings: OrderSettings) -> None:
    """Create the schedule where it is missing."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            ReconcileOrdersWorkflow.run,
            args=[settings.order_reconcile_look_back, settings.order_reconcile_idle],
            id=RECONCILIATION_SCHEDULE,
            task_queue=ORDER_TASK_QUEUE,
            static_summary="compare orders with Temporal, payments and shipments",
        ),
        spec=ScheduleSpec(
            intervals=[ScheduleIntervalSpec(every=settings.order_reconcile_interval)]
        ),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
    try:
        await client.create_schedule(RECONCILIATION_SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:
        return
