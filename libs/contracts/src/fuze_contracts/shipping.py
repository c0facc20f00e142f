"""The shipping service's contract: activities, workflows, messages and error types."""

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import Field
from temporalio import activity, workflow

from fuze_contracts.address import Address
from fuze_contracts.base import Message

SHIPPING_TASK_QUEUE = "shipping"

CARRIER_UNAVAILABLE = "CarrierUnavailable"
"""Error type, retried: the carrier cannot be reached or refuses requests; this one did nothing."""

CARRIER_OUTCOME_UNKNOWN = "CarrierOutcomeUnknown"
"""Error type, retried: it is not known whether the carrier has the parcel."""


class ParcelItem(Message):
    """One article in a parcel. `quantity` is the number of units."""

    sku: str
    quantity: int


class ShipOrder(Message):
    """Input of ShippingWorkflow: dispatch an order's shipment to the carrier.

    Each new request of an order has a higher `number`: a rejected address is submitted again only
    for a request with a higher one than that which it was rejected for.

    A dispatch that keeps failing for `step_failure_alert_after` is reported to the order, by the
    update `report_step_failure`, and retried without a limit.
    """

    order_id: UUID
    address: Address
    items: tuple[ParcelItem, ...] = ()
    number: int = 0
    step_failure_alert_after: timedelta = timedelta(hours=1)


class Shipped(Message):
    """Outcome: the carrier has the parcel."""

    outcome: Literal["shipped"] = "shipped"
    shipment_id: UUID
    carrier: str
    tracking_number: str


class AddressRejected(Message):
    """Outcome: the carrier does not deliver to `address`; `code` is the carrier's reason."""

    outcome: Literal["address_rejected"] = "address_rejected"
    code: str
    address: Address | None = None


class ShipmentCancelled(Message):
    """Outcome: the package is released, and will never be dispatched."""

    outcome: Literal["cancelled"] = "cancelled"


class AlreadyDispatched(Message):
    """Outcome: too late; the carrier has the parcel, or a request to the carrier is open."""

    outcome: Literal["already_dispatched"] = "already_dispatched"


class AddressChanged(Message):
    """Outcome: the shipment has the new address."""

    outcome: Literal["address_changed"] = "address_changed"


class CancelShipment(Message):
    """Input of `shipment_cancelled`. Its first dispatch need not have begun."""

    order_id: UUID


class ChangeShipmentAddress(Message):
    """Input of `shipment_address_changed`."""

    order_id: UUID
    address: Address


class DeliveryStatus(StrEnum):
    """How far a parcel has come. The members are in the order in which they occur."""

    ACCEPTED = "accepted"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    RETURNED = "returned"


class RefreshShipment(Message):
    """Input of CarrierWebhookWorkflow: a carrier's event is about this shipment.

    Either our id of it is known, or the carrier's own. The event's other content is not trusted;
    the carrier is queried.
    """

    shipment_id: UUID | None = None
    carrier_reference: str | None = None


class DeliveryStatusChanged(Message):
    """The delivery status of an order's parcel, as the carrier reported it."""

    order_id: UUID
    status: DeliveryStatus


ShippingOutcome = Annotated[
    Shipped | AddressRejected | ShipmentCancelled, Field(discriminator="outcome")
]
CancelShipmentOutcome = Annotated[
    ShipmentCancelled | AlreadyDispatched, Field(discriminator="outcome")
]
ChangeShipmentAddressOutcome = Annotated[
    AddressChanged | AlreadyDispatched, Field(discriminator="outcome")
]


class FindDeliveryStatus(Message):
    """Input of `delivery_status_found`."""

    order_id: UUID


class ListDispatchedOrders(Message):
    """List those of the orders whose parcel the carrier has."""

    order_ids: tuple[UUID, ...]


class DispatchedOrders(Message):
    """Orders whose parcel the carrier has."""

    order_ids: tuple[UUID, ...]


class ShipmentActivities(Protocol):
    """Activities that other services may call on a shipment, on `SHIPPING_TASK_QUEUE`.

    The shipment's row serialises them with the dispatch: exactly one wins.
    """

    @activity.defn
    async def shipment_cancelled(self, command: CancelShipment) -> CancelShipmentOutcome:
        """Cancel the shipment, unless it is being dispatched or was."""
        ...

    @activity.defn
    async def shipment_address_changed(
        self, command: ChangeShipmentAddress
    ) -> ChangeShipmentAddressOutcome:
        """Change the shipment's address, unless it is being dispatched, was, or is cancelled."""
        ...

    @activity.defn
    async def delivery_status_found(self, command: FindDeliveryStatus) -> DeliveryStatusChanged:
        """Return how far the order's parcel has come by the carrier's reports until now."""
        ...

    @activity.defn
    async def dispatched_orders_listed(self, command: ListDispatchedOrders) -> DispatchedOrders:
        """Return those of the orders whose parcel the carrier has."""
        ...


class ShippingStep(StrEnum):
    """The current step of a ShippingWorkflow; the last three are final."""

    DISPATCHING = "dispatching"
    SHIPPED = "shipped"
    ADDRESS_REJECTED = "address_rejected"
    CANCELLED = "cancelled"


class ShipmentSnapshot(Message):
    """The result of ShippingWorkflow's `status` query; `step_since` is in UTC."""

    order_id: UUID
    step: ShippingStep
    step_since: datetime


@workflow.defn
class ShippingWorkflow(ABC):
    """Dispatch an order's shipment to the carrier, however long the carrier is down.

    Cancelling the workflow cancels the shipment, unless it is too late: then the workflow goes on
    and returns the outcome of the dispatch.
    """

    @workflow.run
    @abstractmethod
    async def run(self, command: ShipOrder) -> ShippingOutcome:
        """Return once the shipment is dispatched, rejected or cancelled."""

    @workflow.signal
    @abstractmethod
    async def retry(self) -> None:
        """Retry the dispatch now, without waiting for the next scheduled attempt."""

    @workflow.signal
    @abstractmethod
    async def wake_up(self) -> None:
        """Run a workflow task, and change nothing.

        Temporal gives a child its first workflow task when its parent knows of it. Where the parent
        was deleted in between, the child is open and never runs (seen with server 1.32).
        """

    @workflow.query
    @abstractmethod
    def status(self) -> ShipmentSnapshot:
        """Return the shipment's current step."""


@workflow.defn
class CarrierWebhookWorkflow(ABC):
    """Process one event of the carrier: refresh the delivery status and signal it to the order."""

    @workflow.run
    @abstractmethod
    async def run(self, command: RefreshShipment) -> str:
        """Return the delivery status that the carrier reports now.

        Fails if the carrier or the shipment cannot be found within 30 minutes.
        """
