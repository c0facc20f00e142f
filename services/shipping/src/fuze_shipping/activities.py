"""The shipping service's activities."""

from typing import TYPE_CHECKING

from temporalio import activity

from fuze_contracts.shipping import (
    AddressChanged,
    AddressRejected,
    AlreadyDispatched,
    CancelShipment,
    CancelShipmentOutcome,
    ChangeShipmentAddress,
    ChangeShipmentAddressOutcome,
    DeliveryStatusChanged,
    RefreshShipment,
    ShipmentActivities,
    ShipmentCancelled,
    Shipped,
    ShippingOutcome,
)
from fuze_shipping.messages import DispatchShipment, PrepareShipment, Shipment, ShipmentState
from fuze_shipping.rules import shipment_id

if TYPE_CHECKING:  # the workflow imports this module, and must not reach HTTP or a database driver
    from fuze_shipping.dispatching import Dispatching
    from fuze_shipping.repository import ShipmentRepository


class ShippingActivities(ShipmentActivities):
    """What ShippingWorkflow has done, and what others may ask of a shipment.

    Each may be called again with the same argument.
    """

    def __init__(self, repository: "ShipmentRepository", dispatching: "Dispatching") -> None:
        self._repository = repository
        self._dispatching = dispatching

    @activity.defn
    async def shipment_prepared(self, command: PrepareShipment) -> None:
        """Write the shipment."""
        await self._repository.prepare(command)

    @activity.defn
    async def shipment_dispatched(self, command: DispatchShipment) -> ShippingOutcome:
        """Hand the parcel to the carrier, and write what it answers.

        Raises:
            ApplicationError: to be retried; the carrier is away, or did not say.

        """
        shipment = await self._dispatching.hand_over(command.shipment_id)
        activity.logger.info("shipment settled", extra={"outcome": shipment.state})
        return _outcome(shipment)

    @activity.defn
    async def delivery_status_refreshed(self, command: RefreshShipment) -> DeliveryStatusChanged:
        """Ask the carrier how far a parcel has come, and write it."""
        tracked = await self._dispatching.track(command.shipment_id)
        activity.logger.info("parcel tracked", extra={"outcome": tracked.status})
        return tracked

    @activity.defn
    async def shipment_cancelled(self, command: CancelShipment) -> CancelShipmentOutcome:
        """Release the package, unless it is being handed to the carrier."""
        state = await self._repository.call_off(shipment_id(command.order_id), command.order_id)
        activity.logger.info("asked to call the shipment off", extra={"outcome": state})
        return ShipmentCancelled() if state is ShipmentState.CANCELLED else AlreadyDispatched()

    @activity.defn
    async def shipment_address_changed(
        self, command: ChangeShipmentAddress
    ) -> ChangeShipmentAddressOutcome:
        """Change where the parcel goes, unless it is being handed to the carrier."""
        changed = await self._repository.readdress(shipment_id(command.order_id), command.address)
        return AddressChanged() if changed else AlreadyDispatched()


def _outcome(shipment: Shipment) -> ShippingOutcome:
    match shipment.state:
        case ShipmentState.CANCELLED:
            return ShipmentCancelled()
        case ShipmentState.REJECTED:
            return AddressRejected(
                code=shipment.rejection_code or "rejected", address=shipment.address
            )
        case _:
            return Shipped(
                shipment_id=shipment.id,
                carrier=shipment.carrier or "",
                tracking_number=shipment.tracking_number or "",
            )
