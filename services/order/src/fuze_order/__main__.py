"""The order service's process: the only place where its parts are assembled."""

import asyncio

from temporalio.client import Client

from fuze_contracts.order import ORDER_TASK_QUEUE
from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_order.activities import (
    OrderActivities,
    ReconciliationActivities,
    RefundReportActivitiesImpl,
    ReturnActivities,
)
from fuze_order.erasure import OrderErasureActivities
from fuze_order.erasure_repository import ErasureRepository
from fuze_order.erasure_workflow import EraseCustomerWorkflow
from fuze_order.messages import ReconcileOrders
from fuze_order.metrics_repository import OrderMetricsRepository
from fuze_order.operator_commands import OPERATOR_COMMANDS
from fuze_order.reconciliation import OpenOrderComparison
from fuze_order.reconciliation_repository import ReconciliationRepository
from fuze_order.reconciliation_workflow import ReconcileOrdersWorkflow
from fuze_order.refund_repository import RefundEventRepository
from fuze_order.repository import OrderRepository
from fuze_order.return_repository import ReturnRepository
from fuze_order.return_workflow import ReturnWorkflow
from fuze_order.settings import OrderSettings
from fuze_order.tables import DATABASE_ACCESS
from fuze_order.validation import OrderRules
from fuze_order.workflows import OrderWorkflow
from fuze_runtime import cli, worker
from fuze_runtime.database import create_engine
from fuze_runtime.schedule import ReconciliationSchedule, ScheduleSettings, keep_schedule
from fuze_runtime.service import Service

_RECONCILIATION = ReconciliationSchedule(
    id="reconcile-orders",
    workflow=ReconcileOrdersWorkflow,
    input=ReconcileOrders,
    task_queue=ORDER_TASK_QUEUE,
    summary="compare orders with Temporal, payments and shipments",
)


def get_schedule_settings(settings: OrderSettings) -> ScheduleSettings:
    """Return what a deployment sets of the comparison."""
    return ScheduleSettings(
        interval=settings.order_reconcile_interval,
        look_back=settings.order_reconcile_look_back,
        idle_for=settings.order_reconcile_idle,
    )


SERVICE = Service(
    name="order",
    settings_type=OrderSettings,
    access=DATABASE_ACCESS,
    task_queue=ORDER_TASK_QUEUE,
    schedules={_RECONCILIATION: get_schedule_settings},
)


async def run_worker() -> None:
    """Serve the order queue until SIGTERM."""
    settings = cli.load_settings(OrderSettings)
    engine = create_engine(settings, "fuze-order")
    rules = OrderRules(
        ships_to=frozenset(settings.ships_to), max_order_totals=settings.max_order_totals
    )
    activities = OrderActivities(OrderRepository(engine), rules)
    refunds = RefundReportActivitiesImpl(RefundEventRepository(engine))
    returns = ReturnActivities(ReturnRepository(engine))
    open_orders = ReconciliationRepository(engine)
    comparison = OpenOrderComparison(open_orders)
    reconciliation = ReconciliationActivities(open_orders, comparison)
    erasure = OrderErasureActivities(ErasureRepository(engine))

    async def keep_reconciling(temporal: Client) -> None:
        await asyncio.gather(
            keep_schedule(temporal, _RECONCILIATION, get_schedule_settings(settings)),
            comparison.keep_failing_flagged(temporal),
        )

    try:
        await worker.run(
            settings,
            worker.WorkerSpec(
                task_queue=ORDER_TASK_QUEUE,
                workflows=[
                    OrderWorkflow,
                    ReturnWorkflow,
                    ReconcileOrdersWorkflow,
                    EraseCustomerWorkflow,
                ],
                activities=[
                    activities.validate_order,
                    activities.order_received,
                    activities.transitions_recorded,
                    activities.address_validated,
                    refunds.refund_recorded,
                    returns.return_requested,
                    returns.return_changed,
                    returns.return_refund_built,
                    returns.returns_resumed,
                    reconciliation.open_orders_compared,
                    reconciliation.ended_orders_listed,
                    reconciliation.discrepant_orders_listed,
                    reconciliation.discrepancies_recorded,
                    erasure.customer_orders_found,
                    erasure.histories_deleted,
                    erasure.personal_data_erased,
                ],
                background=keep_reconciling,
                engine=engine,
                read_gauges=OrderMetricsRepository(engine).read,
                access=DATABASE_ACCESS,
            ),
        )
    finally:
        await engine.dispose()


if __name__ == "__main__":
    cli.main(
        SERVICE, run_worker, workflow_log_fields=workflow_log_fields, commands=OPERATOR_COMMANDS
    )
