"""Carriers: what we ask of one, and the ones we can ask."""

from typing import Protocol

from fuze_contracts.wire import Message
from fuze_shipping.messages import DispatchPackage


class Acceptance(Message):
    """The carrier has the parcel."""

    carrier: str
    tracking_number: str


class Carrier(Protocol):
    """Someone who takes parcels, each once."""

    async def accept(self, command: DispatchPackage) -> Acceptance:
        """Hand over, with the shipment's id as the idempotency key.

        Raises anything when the outcome is not known; the same call is then safe to repeat.
        """
        ...
