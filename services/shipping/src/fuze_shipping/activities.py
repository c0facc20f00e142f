"""The shipping service's activities."""

from typing import TYPE_CHECKING

from temporalio import activity

from fuze_contracts.shipping import Shipped
from fuze_shipping.messages import DispatchPackage, PreparePackage

if TYPE_CHECKING:  # the workflow imports this module, and must not reach HTTP or a database driver
    from fuze_shipping.carrier import Carrier
    from fuze_shipping.repository import ShipmentRepository


class ShippingActivities:
    """What ShippingWorkflow has done; each may be called again with the same argument."""

    def __init__(self, repository: "ShipmentRepository", carrier: "Carrier") -> None:
        self._repository = repository
        self._carrier = carrier

    @activity.defn
    async def package_prepared(self, command: PreparePackage) -> None:
        """Write the shipment."""
        await self._repository.prepare(command)

    @activity.defn
    async def carrier_dispatched(self, command: DispatchPackage) -> Shipped:
        """Hand the parcel to the carrier, and write that it has it."""
        acceptance = await self._carrier.accept(command)
        await self._repository.dispatched(command.shipment_id, acceptance)
        activity.logger.info("parcel handed over", extra={"outcome": acceptance.carrier})
        return Shipped(
            shipment_id=command.shipment_id,
            carrier=acceptance.carrier,
            tracking_number=acceptance.tracking_number,
        )
