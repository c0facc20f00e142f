"""The shipping service, as others see it."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import Field
from temporalio import activity, workflow

from fuze_contracts.base import Message

SHIPPING_TASK_QUEUE = "shipping"


class Address(Message):
    """Where a parcel goes. `country` is an ISO 3166 alpha-2 code."""

    zip_code: str
    country: str = "US"
    name: str | None = None
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None


class ParcelItem(Message):
    """How many of one article are in the parcel."""

    sku: str
    quantity: int


class ShipOrder(Message):
    """Ask for one order's parcel to be prepared and handed to the carrier.

    The order hears of a hand-over that keeps failing for longer than `step_failure_alert_after`.
    """

    order_id: UUID
    address: Address
    items: tuple[ParcelItem, ...] = ()
    step_failure_alert_after: timedelta = timedelta(hours=1)


class Shipped(Message):
    """The carrier has the parcel."""

    outcome: Literal["shipped"] = "shipped"
    shipment_id: UUID
    carrier: str
    tracking_number: str


class AddressRejected(Message):
    """The carrier does not deliver to `address`; `code` is its reason."""

    outcome: Literal["address_rejected"] = "address_rejected"
    code: str
    address: Address | None = None


class ShipmentCancelled(Message):
    """The package is released; the carrier has no parcel and will not get one."""

    outcome: Literal["cancelled"] = "cancelled"


class AlreadyDispatched(Message):
    """The carrier has the parcel, or is being asked to take it: nothing can be changed."""

    outcome: Literal["already_dispatched"] = "already_dispatched"


class AddressChanged(Message):
    """The parcel will go to the new address."""

    outcome: Literal["address_changed"] = "address_changed"


class CancelShipment(Message):
    """Ask that an order's parcel is not handed over, whether it was prepared already or not."""

    order_id: UUID


class ChangeShipmentAddress(Message):
    """Ask that an order's parcel goes to another address."""

    order_id: UUID
    address: Address


class DeliveryStatus(StrEnum):
    """How far a parcel has come, in the order in which that happens."""

    ACCEPTED = "accepted"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    RETURNED = "returned"


class RefreshShipment(Message):
    """The carrier hints that something has become of a parcel: see for yourself."""

    shipment_id: UUID


class DeliveryStatusChanged(Message):
    """How far an order's parcel has come."""

    order_id: UUID
    status: DeliveryStatus


# Not by `outcome`: a Shipped that an older version wrote has none.
ShippingOutcome = Annotated[
    Shipped | AddressRejected | ShipmentCancelled, Field(union_mode="left_to_right")
]
CancelShipmentOutcome = Annotated[
    ShipmentCancelled | AlreadyDispatched, Field(discriminator="outcome")
]
ChangeShipmentAddressOutcome = Annotated[
    AddressChanged | AlreadyDispatched, Field(discriminator="outcome")
]


class ShipmentActivities(Protocol):
    """What others may ask of a shipment. The hand-over and these exclude each other."""

    @activity.defn
    async def shipment_cancelled(self, command: CancelShipment) -> CancelShipmentOutcome:
        """Release the package, unless it is being handed to the carrier."""
        ...

    @activity.defn
    async def shipment_address_changed(
        self, command: ChangeShipmentAddress
    ) -> ChangeShipmentAddressOutcome:
        """Change where the parcel goes, unless it is being handed to the carrier."""
        ...


class ShippingStep(StrEnum):
    """Where a shipment stands."""

    PREPARING = "preparing"
    DISPATCHING = "dispatching"
    SHIPPED = "shipped"
    ADDRESS_REJECTED = "address_rejected"
    CANCELLED = "cancelled"


class ShipmentSnapshot(Message):
    """The live answer of a ShippingWorkflow; `since` is when it entered the step (UTC)."""

    order_id: UUID
    step: ShippingStep
    step_since: datetime


@workflow.defn
class ShippingWorkflow(ABC):
    """Prepare an order's package and hand it to the carrier, however long the carrier is away.

    Cancelling it calls the shipment off, unless the parcel is being handed over.
    """

    @workflow.run
    @abstractmethod
    async def run(self, command: ShipOrder) -> ShippingOutcome:
        """Return once the carrier has the parcel or refuses it, or the shipment is called off."""

    @workflow.signal
    @abstractmethod
    async def retry(self) -> None:
        """Try the hand-over now, without waiting for its next attempt."""

    @workflow.query
    @abstractmethod
    def status(self) -> ShipmentSnapshot:
        """Say where the shipment stands now."""


@workflow.defn
class CarrierWebhookWorkflow(ABC):
    """Follow one event of the carrier up: not what it says is believed, only that it came."""

    @workflow.run
    @abstractmethod
    async def run(self, command: RefreshShipment) -> str:
        """Return the state that the parcel is in after the carrier was asked."""
