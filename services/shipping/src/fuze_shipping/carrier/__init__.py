"""Carriers: what we ask of one, and what it may answer."""

from typing import Protocol

from fuze_contracts.base import Message
from fuze_contracts.shipping import DeliveryStatus
from fuze_shipping.messages import Shipment


class Accepted(Message):
    """The carrier has the parcel."""

    carrier: str
    tracking_number: str


class Refused(Message):
    """The carrier does not deliver there; `code` is its reason."""

    code: str


class NotTaken(Message):
    """The carrier surely does not have it from this request: it is away, or turned us down."""

    why: str


class NotFound(Message):
    """The carrier knows nothing of the shipment, now."""


class Unclear(Message):
    """Nobody can say whether the carrier has it."""

    why: str


class Tracked(Message):
    """How far the carrier says that the parcel has come."""

    state: DeliveryStatus


HandOverAnswer = Accepted | Refused | NotTaken | Unclear


class Carrier(Protocol):
    """Someone who takes parcels, each once for its shipment's id.

    No method raises for what a carrier or a network does: its answer says it.
    """

    async def accept(self, shipment: Shipment) -> HandOverAnswer:
        """Hand over, with the shipment's id as the idempotency key."""
        ...

    async def find(self, shipment: Shipment) -> Accepted | NotFound | NotTaken | Unclear:
        """Look the shipment up by its id."""
        ...

    async def track(self, shipment: Shipment) -> Tracked | NotFound | NotTaken | Unclear:
        """Ask how far the parcel has come."""
        ...
