"""What ShippingWorkflow says to the activities of its own service."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from fuze_contracts.base import Message
from fuze_contracts.shipping import Address, DeliveryStatus, ParcelItem, ShipOrder


class PrepareShipment(Message):
    """Write the shipment of an order, once."""

    shipment_id: UUID
    order: ShipOrder
    occurred_at: datetime


class DispatchShipment(Message):
    """Hand the prepared package to the carrier, once; where it goes, the shipment's row says."""

    shipment_id: UUID
    order: ShipOrder


class ShipmentState(StrEnum):
    """Where a shipment stands. The service's row decides every race about it."""

    PREPARED = "prepared"
    """The carrier does not have it: it may be called off or sent elsewhere."""
    DISPATCHING = "dispatching"
    """The carrier is being asked, or was and did not say: nothing can be changed."""
    DISPATCHED = "dispatched"
    REJECTED = "rejected"
    """The carrier refuses the address."""
    CANCELLED = "cancelled"


class Shipment(Message):
    """A shipment as PostgreSQL holds it.

    `dispatch_attempt` counts the hand-overs that were begun. `may_be_there` says that an earlier
    one may
    have reached the carrier. One that was called off before it was prepared has no address.
    """

    id: UUID
    order_id: UUID
    state: ShipmentState
    dispatch_attempt: int
    address: Address | None = None
    items: tuple[ParcelItem, ...] | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    rejection_code: str | None = None
    delivery_status: DeliveryStatus | None = None
    may_be_there: bool = False
