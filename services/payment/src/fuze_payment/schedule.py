"""The schedule on which the books are compared, made once, whoever starts first."""

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


async def make(
    client: Client, *, every: timedelta, look_back: timedelta, at_rest_for: timedelta
) -> None:
    """Make the schedule, or bring the one that is there to these times."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            ReconcileWorkflow.run,
            args=[look_back, at_rest_for],
            id=RECONCILIATION_SCHEDULE,
            task_queue=PAYMENT_TASK_QUEUE,
            static_summary="the provider's books and ours",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
    try:
        await client.create_schedule(RECONCILIATION_SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:

        def updated(_: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(schedule=schedule)

        await client.get_schedule_handle(RECONCILIATION_SCHEDULE).update(updated)
