"""The carrier as the service sees it: its requests, and every outcome that one can have."""

from typing import Protocol

from fuze_contracts.base import Message
from fuze_contracts.shipping import DeliveryStatus
from fuze_shipping.messages import Shipment


class Accepted(Message):
    """The carrier has the parcel; `status` is how far it has come."""

    carrier: str
    tracking_number: str
    status: DeliveryStatus = DeliveryStatus.ACCEPTED


class Rejected(Message):
    """The carrier does not deliver to the address; `code` is its reason."""

    code: str


class NotAttempted(Message):
    """The request had no effect: the carrier was unreachable, unavailable or rate-limited us."""

    reason: str


class NotFound(Message):
    """The carrier has no parcel for the shipment at this moment."""


class Indeterminate(Message):
    """The outcome is unknown: the carrier may or may not have the parcel."""

    reason: str


SubmitResult = Accepted | Rejected | NotAttempted | Indeterminate
FindResult = Accepted | NotFound | NotAttempted | Indeterminate


class Carrier(Protocol):
    """Accepts each shipment at most once, with its id as the idempotency key.

    No method raises for what a carrier or a network does: every outcome is a value.
    """

    async def submit(self, shipment: Shipment) -> SubmitResult:
        """Submit the shipment, with its id as the idempotency key."""
        ...

    async def find(self, shipment: Shipment) -> FindResult:
        """Look the shipment up by its id."""
        ...
