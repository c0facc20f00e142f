"""The shipping service, as others see it."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import Field
from temporalio import activity, workflow

from fuze_contracts.wire import Message

SHIPPING_TASK_QUEUE = "shipping"


def carrier_event_workflow_id(event_id: str) -> str:
    """Return the id of the one workflow that follows a carrier's event up."""
    return f"carrier-event/{event_id}"


def shipping_workflow_id(order_id: UUID) -> str:
    """Return the id of the one workflow that ships this order."""
    return f"shipping/{order_id}"


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

    The order hears of a hand-over that keeps failing for longer than `attention_after`.
    """

    order_id: UUID
    address: Address
    items: tuple[ParcelItem, ...] = ()
    attention_after: timedelta = timedelta(hours=1)


class Shipped(Message):
    """The carrier has the parcel."""

    outcome: Literal["shipped"] = "shipped"
    shipment_id: UUID
    carrier: str
    tracking_number: str


class AddressRefused(Message):
    """The carrier does not deliver to `address`; `code` is its reason."""

    outcome: Literal["address_refused"] = "address_refused"
    code: str
    address: Address | None = None


class ShippingCalledOff(Message):
    """The package is released; the carrier has no parcel and will not get one."""

    outcome: Literal["called_off"] = "called_off"


class HandedOver(Message):
    """The carrier has the parcel, or is being asked to take it: nothing can be changed."""

    outcome: Literal["handed_over"] = "handed_over"


class Readdressed(Message):
    """The parcel will go to the new address."""

    outcome: Literal["readdressed"] = "readdressed"


class CallOffShipping(Message):
    """Ask that an order's parcel is not handed over, whether it was prepared already or not."""

    order_id: UUID


class ReaddressShipment(Message):
    """Ask that an order's parcel goes to another address."""

    order_id: UUID
    address: Address


class ParcelState(StrEnum):
    """How far a parcel has come, in the order in which that happens."""

    ACCEPTED = "accepted"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    RETURNED = "returned"


class TrackParcel(Message):
    """The carrier hints that something has become of a parcel: see for yourself."""

    shipment_id: UUID


class ParcelTracked(Message):
    """How far an order's parcel has come."""

    order_id: UUID
    state: ParcelState


# Not by `outcome`: a Shipped that an older version wrote has none.
ShippingOutcome = Annotated[
    Shipped | AddressRefused | ShippingCalledOff, Field(union_mode="left_to_right")
]
CallOffOutcome = Annotated[ShippingCalledOff | HandedOver, Field(discriminator="outcome")]
ReaddressOutcome = Annotated[Readdressed | HandedOver, Field(discriminator="outcome")]


class ShipmentActivities(Protocol):
    """What others may ask of a shipment. The hand-over and these exclude each other."""

    @activity.defn
    async def carrier_cancelled(self, command: CallOffShipping) -> CallOffOutcome:
        """Release the package, unless it is being handed to the carrier."""
        ...

    @activity.defn
    async def shipment_readdressed(self, command: ReaddressShipment) -> ReaddressOutcome:
        """Change where the parcel goes, unless it is being handed to the carrier."""
        ...


class ShippingStep(StrEnum):
    """Where a shipment stands."""

    PREPARING = "preparing"
    DISPATCHING = "dispatching"
    SHIPPED = "shipped"
    ADDRESS_REFUSED = "address_refused"
    CALLED_OFF = "called_off"


class ShippingStatus(Message):
    """The live answer of a ShippingWorkflow; `since` is when it entered the step (UTC)."""

    order_id: UUID
    step: ShippingStep
    since: datetime


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
    def status(self) -> ShippingStatus:
        """Say where the shipment stands now."""


@workflow.defn
class CarrierEventWorkflow(ABC):
    """Follow one event of the carrier up: not what it says is believed, only that it came."""

    @workflow.run
    @abstractmethod
    async def run(self, command: TrackParcel) -> str:
        """Return the state that the parcel is in after the carrier was asked."""
