"""The shipping service's activities. Each may be repeated with the same argument."""

from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, UUID, uuid5

from temporalio import activity
from temporalio.exceptions import ApplicationError

from fuze_contracts.erasure import ErasePersonalData, ErasureActivities, PersonalDataErased
from fuze_contracts.shipping import (
    CARRIER_OUTCOME_UNKNOWN,
    AddressChanged,
    AddressRejected,
    AlreadyDispatched,
    CancelShipment,
    CancelShipmentOutcome,
    ChangeShipmentAddress,
    ChangeShipmentAddressOutcome,
    DeliveryStatus,
    DeliveryStatusChanged,
    DispatchedOrders,
    FindDeliveryStatus,
    ListDispatchedOrders,
    RefreshShipment,
    ShipmentActivities,
    ShipmentCancelled,
    ShipOrder,
    Shipped,
    ShippingOutcome,
)
from fuze_shipping.messages import Shipment, ShipmentState

if TYPE_CHECKING:  # workflows import this module and must not load HTTP or a database driver
    from fuze_shipping.dispatch_service import DispatchService
    from fuze_shipping.repository import ShipmentRepository

_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/shipments")


def derive_shipment_id(order_id: UUID) -> UUID:
    """Return the id of an order's one shipment: the idempotency key of requests to the carrier."""
    return uuid5(_NAMESPACE, str(order_id))


class ShippingActivities(ShipmentActivities, ErasureActivities):
    """The steps of ShippingWorkflow, and what the order service requests of a shipment."""

    def __init__(
        self, repository: "ShipmentRepository", dispatch_service: "DispatchService"
    ) -> None:
        self._repository = repository
        self._dispatch_service = dispatch_service

    @activity.defn
    async def shipment_dispatched(self, command: ShipOrder) -> ShippingOutcome:
        """Record the shipment, dispatch it to the carrier, once, and record the outcome.

        After a rejected address, a new request dispatches it to its own one.

        Raises:
            ApplicationError: `CARRIER_UNAVAILABLE` or `CARRIER_OUTCOME_UNKNOWN`; retry.

        """
        shipment_id = derive_shipment_id(command.order_id)
        shipment = await self._dispatch_service.dispatch(shipment_id, command)
        activity.logger.info("dispatch finished", extra={"outcome": shipment.state})
        return _to_outcome(shipment)

    @activity.defn
    async def personal_data_erased(self, command: ErasePersonalData) -> PersonalDataErased:
        """Erase the addresses of the shipments."""
        return PersonalDataErased(rows=await self._repository.erase_addresses(command.order_ids))

    @activity.defn
    async def delivery_status_refreshed(self, command: RefreshShipment) -> DeliveryStatusChanged:
        """Fetch a parcel's delivery status from the carrier, and record it.

        Raises:
            LookupError: the shipment is not recorded as dispatched; retry.
            ApplicationError: `CARRIER_UNAVAILABLE` or `CARRIER_OUTCOME_UNKNOWN`; retry.

        """
        shipment_id = command.shipment_id
        if shipment_id is None:
            shipment_id = await self._repository.get_id(command.carrier_reference or "")
        changed = await self._dispatch_service.refresh_delivery_status(shipment_id)
        activity.logger.info("delivery status refreshed", extra={"outcome": changed.status})
        return changed

    @activity.defn
    async def shipment_cancelled(self, command: CancelShipment) -> CancelShipmentOutcome:
        """Cancel the shipment, unless it is being dispatched or was."""
        shipment_id = derive_shipment_id(command.order_id)
        state = await self._repository.cancel(shipment_id, command.order_id)
        activity.logger.info("cancellation decided", extra={"outcome": state})
        return ShipmentCancelled() if state is ShipmentState.CANCELLED else AlreadyDispatched()

    @activity.defn
    async def shipment_address_changed(
        self, command: ChangeShipmentAddress
    ) -> ChangeShipmentAddressOutcome:
        """Change the shipment's address, unless it is being dispatched, was, or is cancelled."""
        shipment_id = derive_shipment_id(command.order_id)
        changed = await self._repository.change_address(
            shipment_id, command.order_id, command.address
        )
        return AddressChanged() if changed else AlreadyDispatched()

    @activity.defn
    async def delivery_status_found(self, command: FindDeliveryStatus) -> DeliveryStatusChanged:
        """Return how far the order's parcel has come by the carrier's reports until now.

        Raises:
            LookupError: the order has no shipment; retry.

        """
        shipment = await self._repository.get(derive_shipment_id(command.order_id))
        status = shipment.delivery_status or DeliveryStatus.ACCEPTED
        return DeliveryStatusChanged(order_id=command.order_id, status=status)

    @activity.defn
    async def dispatched_orders_listed(self, command: ListDispatchedOrders) -> DispatchedOrders:
        """Return those of the orders whose parcel the carrier has."""
        return DispatchedOrders(
            order_ids=tuple(await self._dispatch_service.list_dispatched(command.order_ids))
        )


def _to_outcome(shipment: Shipment) -> ShippingOutcome:
    match shipment.state:
        case ShipmentState.CANCELLED:
            return ShipmentCancelled()
        case ShipmentState.REJECTED:
            return AddressRejected(
                code=shipment.rejection_code or "rejected", address=shipment.address
            )
        case ShipmentState.DISPATCHED:
            return Shipped(
                shipment_id=shipment.id,
                carrier=shipment.carrier or "",
                tracking_number=shipment.tracking_number or "",
            )
        case _:
            raise ApplicationError(
                "a newer attempt is dispatching the shipment", type=CARRIER_OUTCOME_UNKNOWN
            )
