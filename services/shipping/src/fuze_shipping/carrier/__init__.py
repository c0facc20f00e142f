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


class Created(Message):
    """The carrier knows the parcel as `reference`, and accepts it once it is submitted."""

    reference: str


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


CreateResult = Created | Rejected | NotAttempted
SubmitResult = Accepted | Rejected | NotAttempted | Indeterminate
FindResult = Accepted | NotFound | NotAttempted | Indeterminate


class Carrier(Protocol):
    """Accepts each shipment at most once.

    The shipment's id is the idempotency key. A carrier without such keys names the parcel itself:
    `create` returns the name, which is committed as the shipment's `carrier_reference` before
    `submit`, and the carrier accepts a parcel of one name once.

    No method raises for what a carrier or a network does: every outcome is a value.
    """

    async def create(self, shipment: Shipment) -> CreateResult | None:
        """Let the carrier name the parcel, which has no other effect; None: it needs no name."""
        ...

    async def submit(self, shipment: Shipment) -> SubmitResult:
        """Submit the shipment, which the carrier accepts once."""
        ...

    async def find(self, shipment: Shipment) -> FindResult:
        """Look the shipment up by its id, or by the carrier's name for the parcel."""
        ...

    async def cancel(self, shipment: Shipment) -> bool:
        """Cancel a parcel that was accepted, where the carrier still can; return whether it did."""
        ...
