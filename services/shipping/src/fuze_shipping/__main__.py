"""The shipping service's process: the only place where its parts are wired."""

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.shipping import SHIPPING_TASK_QUEUE
from fuze_contracts.workflow_ids import workflow_log_fields
from fuze_runtime import cli, worker
from fuze_runtime.database import create_engine
from fuze_shipping.activities import ShippingActivities
from fuze_shipping.carrier.sandbox import SandboxCarrier
from fuze_shipping.dispatching import Dispatching
from fuze_shipping.repository import ShipmentRepository
from fuze_shipping.settings import ShippingSettings
from fuze_shipping.workflows import CarrierWebhookWorkflow, ShippingWorkflow


async def run_worker() -> None:
    """Serve the shipping queue until SIGTERM."""
    settings = cli.load_settings(ShippingSettings)
    engine = create_engine(settings, "fuze-shipping")
    url = f"{str(settings.carrier_url).rstrip('/')}/"
    try:
        async with httpx.AsyncClient(base_url=url, timeout=settings.carrier_timeout) as client:
            activities = wire(settings, engine, client)
            await worker.run(
                settings,
                worker.WorkerSpec(
                    task_queue=SHIPPING_TASK_QUEUE,
                    workflows=[ShippingWorkflow, CarrierWebhookWorkflow],
                    activities=[
                        activities.shipment_prepared,
                        activities.shipment_dispatched,
                        activities.shipment_cancelled,
                        activities.shipment_address_changed,
                        activities.delivery_status_refreshed,
                    ],
                    passthrough_modules=[
                        "fuze_shipping.activities",
                        "fuze_shipping.messages",
                        "fuze_shipping.rules",
                    ],
                ),
            )
    finally:
        await engine.dispose()


def wire(
    settings: ShippingSettings, engine: AsyncEngine, client: httpx.AsyncClient
) -> ShippingActivities:
    """Put the activities together over a pool and a client."""
    repository = ShipmentRepository(engine)
    carrier = SandboxCarrier(client, settings.carrier_timeout)
    return ShippingActivities(repository, Dispatching(repository, carrier))


if __name__ == "__main__":
    cli.main("shipping", run_worker, workflow_log_fields=workflow_log_fields)
