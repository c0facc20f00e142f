"""The schedule of the reconciliation, created by whichever worker starts first."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from fuze_contracts.payment import PAYMENT_TASK_QUEUE
from fuze_payment.workflows import ReconcileWorkflow

RECONCILIATION_SCHEDULE = "reconcile-payments"


async def ensure_schedule(
    client: Client, *, interval: timedelta, look_back: timedelta, idle_for: timedelta
) -> None:
    """Create the schedule, or update the existing one to these times."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            ReconcileWorkflow.run,
            args=[look_back, idle_for],
            id=RECONCILIATION_SCHEDULE,
            task_queue=PAYMENT_TASK_QUEUE,
            static_summary="compare the provider's records with ours",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=interval)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
    try:
        await client.create_schedule(RECONCILIATION_SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:

        def update(_: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(schedule=schedule)

        await client.get_schedule_handle(RECONCILIATION_SCHEDULE).update(update)
