"""Payment service providers: what we ask of one, and what it may answer."""

from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from fuze_contracts.base import Message
from fuze_payment.rules import Payment, Refund


class Taken(Message):
    """The money was taken, or given back, under `reference`."""

    reference: str


class Refused(Message):
    """Not taken, not given back, and never will be under this key. `code` says why."""

    code: str
    reference: str | None = None


class Held(Message):
    """The provider decides later."""

    reference: str


class ListedCharge(Message):
    """A charge in the provider's books. `payment_id` is ours, where the provider was told."""

    reference: str
    payment_id: UUID | None
    order_id: UUID | None
    amount_minor: int
    currency: str
    taken: bool
    occurred_at: datetime


class ListedRefund(Message):
    """A refund in the provider's books. `refund_id` is ours, where the provider was told."""

    reference: str
    charge_reference: str
    refund_id: UUID | None
    amount_minor: int
    occurred_at: datetime


class ProviderBooks(Message):
    """What the provider has written since some time."""

    charges: tuple[ListedCharge, ...]
    refunds: tuple[ListedRefund, ...]


class NotFound(Message):
    """The provider has nothing under our id, now."""


class NotSent(Message):
    """Our request surely did nothing: it never left, or was turned away at the door."""

    after: timedelta


class TryLater(Message):
    """Another request with our key is being worked on: ask again after a while."""

    after: timedelta


class Unclear(Message):
    """Nobody can say what was done."""

    why: str


ChargeAnswer = Taken | Refused | Held | NotSent | TryLater | Unclear
RefundAnswer = Taken | Refused | NotSent | TryLater | Unclear


class PaymentProvider(Protocol):
    """Someone who can take money and give it back, once for a key.

    No method raises for what a provider or a network does: its answer says it.
    """

    async def charge(self, payment: Payment) -> ChargeAnswer:
        """Take the payment's amount, with its id as the idempotency key."""
        ...

    async def find_charge(self, payment: Payment) -> ChargeAnswer | NotFound:
        """Look the payment up by its id, whatever the provider remembers of the key."""
        ...

    async def void(self, reference: str) -> Taken | NotSent | TryLater | Unclear:
        """Let go of a held charge; `Taken` when that is done."""
        ...

    async def refund(self, refund: Refund) -> RefundAnswer:
        """Give the refund's amount back, with its id as the idempotency key."""
        ...

    async def find_refund(self, refund: Refund) -> RefundAnswer | NotFound:
        """Look the refund up by its id."""
        ...

    async def books_since(self, since: datetime) -> ProviderBooks | NotSent | TryLater | Unclear:
        """Return everything that the provider has written since then (UTC)."""
        ...
