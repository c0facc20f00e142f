"""Defects of the shipping service."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from uuid import UUID, uuid5

from fuze_chaos.patches import Foreign, Patches, is_chosen
from fuze_chaos.seeds.background import later

_SLOWER_BY_SECONDS = 2.0


def dispatch_twice(patches: Patches) -> None:
    """Hand over under a second key first, then under the shipment's own."""

    def accepting(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def accept(self: Foreign, shipment: Foreign) -> Foreign:
            if is_chosen(shipment.order_id):
                another = {"id": uuid5(shipment.id, "another")}
                await original(self, shipment.model_copy(update=another))
            return await original(self, shipment)

        return accept

    patches.replace(
        "fuze_shipping.carrier.sandbox",
        "SandboxCarrier.accept",
        accepting,
        takes=("self", "shipment"),
    )


def ignore_cancel(patches: Patches) -> None:
    """Say that a parcel is called off, and hand it over behind the order's back.

    Hand-overs take a while longer, so that more orders are cancelled before theirs is over.
    """
    contract = import_module("fuze_contracts.shipping")
    rules = import_module("fuze_shipping.rules")

    def calling_off(_: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def shipment_cancelled(self: Foreign, command: Foreign) -> Foreign:
            shipment_id = rules.shipment_id(command.order_id)
            later(lambda: self._dispatching.hand_over(shipment_id))
            return contract.ShipmentCancelled()

        return shipment_cancelled

    def dispatching(original: Callable[..., Foreign]) -> Callable[..., Foreign]:
        async def hand_over(self: Foreign, shipment_id: UUID) -> Foreign:
            await asyncio.sleep(_SLOWER_BY_SECONDS)
            return await original(self, shipment_id)

        return hand_over

    patches.replace(
        "fuze_shipping.activities",
        "ShippingActivities.shipment_cancelled",
        calling_off,
        takes=("self", "command"),
    )
    patches.replace(
        "fuze_shipping.dispatching",
        "Dispatching.hand_over",
        dispatching,
        takes=("self", "shipment_id"),
    )
