"""Payment service providers: what we ask of one, and the ones we can ask."""

from typing import Protocol
from uuid import UUID

from fuze_contracts.payment import ChargePayment
from fuze_contracts.wire import Message


class ProviderAnswer(Message):
    """A definite answer: `decline_code` is None when the money was taken."""

    reference: str
    decline_code: str | None = None


class PaymentProvider(Protocol):
    """Someone who can take money, once for a key."""

    async def charge(self, payment_id: UUID, command: ChargePayment) -> ProviderAnswer:
        """Charge, with `payment_id` as the idempotency key.

        Raises anything when the outcome is not known; the same call is then safe to repeat.
        """
        ...
