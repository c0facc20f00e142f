"""The shipping worker's process, where the service's parts are put together."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fuze_contracts.shipping import SHIPPING_TASK_QUEUE
from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_runtime import cli, worker
from fuze_runtime.database import create_engine
from fuze_runtime.service import Service
from fuze_shipping.activities import ShippingActivities
from fuze_shipping.carrier import Carrier
from fuze_shipping.carrier.easypost.carrier import open_easypost
from fuze_shipping.carrier.sandbox import open_sandbox
from fuze_shipping.carrier.settings import CarrierName, CarrierSettings
from fuze_shipping.dispatch_service import DispatchService
from fuze_shipping.order_reports import OrderReports
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.settings import ShippingSettings
from fuze_shipping.tables import DATABASE_ACCESS
from fuze_shipping.workflows import CarrierWebhookWorkflow, ShippingWorkflow

SERVICE = Service(
    name="shipping",
    settings_type=ShippingSettings,
    access=DATABASE_ACCESS,
    task_queue=SHIPPING_TASK_QUEUE,
)

_OPEN_CARRIER: dict[
    CarrierName, Callable[[CarrierSettings], AbstractAsyncContextManager[Carrier]]
] = {"sandbox": open_sandbox, "easypost": open_easypost}


async def run_worker() -> None:
    """Run the shipping worker until SIGTERM."""
    settings = cli.load_settings(ShippingSettings)
    engine = create_engine(settings, "fuze-shipping")
    try:
        async with _OPEN_CARRIER[settings.carrier](settings) as carrier:
            repository = ShipmentRepository(engine)
            dispatch_service = DispatchService(repository, carrier, settings.carrier_settle_window)
            activities = ShippingActivities(repository, dispatch_service)
            reports = OrderReports()
            await worker.run(
                settings,
                worker.WorkerSpec(
                    task_queue=SHIPPING_TASK_QUEUE,
                    workflows=[ShippingWorkflow, CarrierWebhookWorkflow],
                    activities=[
                        activities.shipment_dispatched,
                        activities.shipment_cancelled,
                        activities.shipment_address_changed,
                        activities.delivery_status_refreshed,
                        activities.delivery_status_found,
                        activities.dispatched_orders_listed,
                        activities.personal_data_erased,
                        reports.delivery_status_reported,
                        reports.step_failure_reported,
                    ],
                    engine=engine,
                    access=DATABASE_ACCESS,
                ),
            )
    finally:
        await engine.dispose()


if __name__ == "__main__":
    cli.main(SERVICE, run_worker, workflow_log_fields=workflow_log_fields)
