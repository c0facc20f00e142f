"""What ShippingWorkflow says to the activities of its own service."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from fuze_contracts.shipping import Address, ParcelItem, ParcelState, ShipOrder
from fuze_contracts.wire import Message


class PreparePackage(Message):
    """Write the shipment of an order, once."""

    shipment_id: UUID
    order: ShipOrder
    occurred_at: datetime


class DispatchPackage(Message):
    """Hand the prepared package to the carrier, once; where it goes, the shipment's row says."""

    shipment_id: UUID
    order: ShipOrder


class ShipmentState(StrEnum):
    """Where a shipment stands. The service's row decides every race about it."""

    PREPARED = "prepared"
    """The carrier does not have it: it may be called off or sent elsewhere."""
    HANDING_OVER = "handing_over"
    """The carrier is being asked, or was and did not say: nothing can be changed."""
    DISPATCHED = "dispatched"
    REFUSED = "refused"
    """The carrier refuses the address."""
    CALLED_OFF = "called_off"


class Shipment(Message):
    """A shipment as PostgreSQL holds it.

    `attempt` counts the hand-overs that were begun. `may_be_there` says that an earlier one may
    have reached the carrier. One that was called off before it was prepared has no address.
    """

    id: UUID
    order_id: UUID
    state: ShipmentState
    attempt: int
    address: Address | None = None
    items: tuple[ParcelItem, ...] | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    refusal_code: str | None = None
    parcel_state: ParcelState | None = None
    may_be_there: bool = False
