"""Patches of the shipping service."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from uuid import UUID, uuid5

from fuze_chaos.defects.patches.background import run_later
from fuze_chaos.defects.patching import Foreign, Patches, is_affected

_DISPATCH_DELAY_SECONDS = 2.0


def dispatch_twice(patches: Patches) -> None:
    """Dispatch with a second key first, then with the shipment's own."""

    def submitting(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def submit(self: Foreign, shipment: Foreign) -> Foreign:
            if is_affected(shipment.order_id):
                second_key = {"id": uuid5(shipment.id, "another")}
                await original(self, shipment.model_copy(update=second_key))
            return await original(self, shipment)

        return submit

    patches.replace(
        "fuze_shipping.carrier.sandbox",
        "SandboxCarrier.submit",
        submitting,
        parameters=("self", "shipment"),
    )


def ignore_cancel(patches: Patches) -> None:
    """Report a shipment as cancelled, and dispatch it in the background.

    Requests to the carrier are slowed down, so that more orders are cancelled before theirs is
    complete.
    """
    contract = import_module("fuze_contracts.shipping")
    activities = import_module("fuze_shipping.activities")

    async def dispatch_anyway(self: Foreign, shipment_id: UUID) -> None:
        shipment = await self._repository.get(shipment_id)
        request = contract.ShipOrder(
            order_id=shipment.order_id, address=shipment.address, items=shipment.items
        )
        await self._dispatch_service.dispatch(shipment_id, request)

    def cancelling(_: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def shipment_cancelled(self: Foreign, command: Foreign) -> Foreign:
            shipment_id = activities.derive_shipment_id(command.order_id)
            run_later(lambda: dispatch_anyway(self, shipment_id))
            return contract.ShipmentCancelled()

        return shipment_cancelled

    def submitting(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def submit(self: Foreign, shipment: Foreign) -> Foreign:
            await asyncio.sleep(_DISPATCH_DELAY_SECONDS)
            return await original(self, shipment)

        return submit

    patches.replace(
        "fuze_shipping.activities",
        "ShippingActivities.shipment_cancelled",
        cancelling,
        parameters=("self", "command"),
    )
    patches.replace(
        "fuze_shipping.carrier.sandbox",
        "SandboxCarrier.submit",
        submitting,
        parameters=("self", "shipment"),
    )


def drop_return(patches: Patches) -> None:
    """Record a parcel that the carrier has returned as one in transit.

    Its report alone is not enough: before an order ends, it reads what is recorded.
    """
    statuses = import_module("fuze_contracts.shipping").DeliveryStatus

    def recording(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def record_delivery_status(
            self: Foreign, shipment_id: UUID, status: Foreign
        ) -> Foreign:
            is_returned = status is statuses.RETURNED
            return await original(self, shipment_id, statuses.IN_TRANSIT if is_returned else status)

        return record_delivery_status

    patches.replace(
        "fuze_shipping.repository",
        "ShipmentRepository.record_delivery_status",
        recording,
        parameters=("self", "shipment_id", "status"),
    )
