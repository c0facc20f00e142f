"""Messages between ShippingWorkflow and the service's own activities, and the shipment itself."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from fuze_contracts.address import Address
from fuze_contracts.base import Message
from fuze_contracts.shipping import DeliveryStatus, ParcelItem


class StepFailureReport(Message):
    """Report to the order that a step of its shipment keeps failing."""

    order_id: UUID
    step: str
    last_error: str | None = None


class ShipmentState(StrEnum):
    """The state of a shipment. The committed row decides every race."""

    PREPARED = "prepared"
    """The carrier does not have it after all: it can be cancelled, and its address changed."""
    DISPATCHING = "dispatching"
    """A request to the carrier is open, or its outcome is unknown: nothing can be changed."""
    DISPATCHED = "dispatched"
    """The carrier has the parcel."""
    REJECTED = "rejected"
    """The carrier rejected the address: it can be corrected, or the shipment cancelled."""
    CANCELLED = "cancelled"
    """The package is released and is never dispatched."""


class Shipment(Message):
    """A shipment as PostgreSQL holds it.

    `dispatch_attempt` counts the dispatches that were begun. `may_have_been_submitted` is true
    where an earlier attempt may have reached the carrier, at `submitted_at`. `request_number` is
    that of the latest request to dispatch it. `carrier_reference` is the carrier's own id of the
    parcel to its present address, where it has one. A shipment whose address was changed before the
    first request has no items yet; one that was cancelled before has no address either.
    """

    id: UUID
    order_id: UUID
    state: ShipmentState
    dispatch_attempt: int
    request_number: int = 0
    address: Address | None = None
    items: tuple[ParcelItem, ...] | None = None
    carrier_reference: str | None = None
    carrier: str | None = None
    tracking_number: str | None = None
    rejection_code: str | None = None
    delivery_status: DeliveryStatus | None = None
    submitted_at: datetime | None = None
    given_up_at: datetime | None = None
    may_have_been_submitted: bool = False
