"""The shipping service, as others see it."""

from abc import ABC, abstractmethod
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from temporalio import workflow

from fuze_contracts.wire import Message

SHIPPING_TASK_QUEUE = "shipping"


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
    """Ask for one order's parcel to be prepared and handed to the carrier."""

    order_id: UUID
    address: Address
    items: tuple[ParcelItem, ...] = ()


class Shipped(Message):
    """The carrier has the parcel."""

    shipment_id: UUID
    carrier: str
    tracking_number: str


class ShippingStep(StrEnum):
    """Where a shipment stands."""

    PREPARING = "preparing"
    DISPATCHING = "dispatching"
    SHIPPED = "shipped"


class ShippingStatus(Message):
    """The live answer of a ShippingWorkflow; `since` is when it entered the step (UTC)."""

    order_id: UUID
    step: ShippingStep
    since: datetime


@workflow.defn
class ShippingWorkflow(ABC):
    """Prepare an order's package and hand it to the carrier, however long the carrier is away."""

    @workflow.run
    @abstractmethod
    async def run(self, command: ShipOrder) -> Shipped:
        """Return once the carrier has accepted the parcel."""

    @workflow.query
    @abstractmethod
    def status(self) -> ShippingStatus:
        """Say where the shipment stands now."""
