"""What Fuze requires of a payment service provider: requests, results, and the protocol."""

from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from fuze_contracts.base import Message
from fuze_contracts.money import Money


class ChargeRequest(Message):
    """Charge `amount` to `payment_method`; `payment_id` is the idempotency key."""

    payment_id: UUID
    order_id: UUID
    payment_token: str
    amount: Money
    payment_method: str | None


class ChargeLookup(Message):
    """What identifies a charge that may have been made.

    `reference` is the provider's, where it is known. No request was sent before `not_before` (UTC),
    and none can take effect after `not_after`; None where no request was sent yet.
    """

    payment_id: UUID
    reference: str | None
    not_before: datetime
    not_after: datetime | None


class RefundRequest(Message):
    """Refund `amount` of the charge `charge_reference`; `refund_id` is the idempotency key."""

    refund_id: UUID
    payment_id: UUID
    charge_reference: str | None
    amount: Money


class Succeeded(Message):
    """The operation was executed; `reference` is the provider's name for it."""

    reference: str


class Rejected(Message):
    """The operation was not executed, and never will be under this key. `code` is the reason."""

    code: str
    reference: str | None = None


class UnderReview(Message):
    """The provider decides later."""

    reference: str


class NotFound(Message):
    """The provider has no operation with our id at this moment. It may still appear."""


class NotAttempted(Message):
    """Our request certainly had no effect: it was not sent, or it was refused unprocessed."""

    retry_after: timedelta


class RetryLater(Message):
    """The provider is still processing another request with our key."""

    retry_after: timedelta


class Indeterminate(Message):
    """It is not known whether the request had an effect."""

    reason: str


Unavailable = NotAttempted | RetryLater | Indeterminate
"""The provider gave no definite result."""

OperationResult = Succeeded | Rejected | UnderReview | Unavailable


class ListedCharge(Message):
    """A charge in the provider's records. `payment_id` is ours, where the provider has it."""

    reference: str
    payment_id: UUID | None
    order_id: UUID | None
    amount_minor: int
    currency: str
    succeeded: bool
    occurred_at: datetime


class ListedRefund(Message):
    """A refund in the provider's records. `refund_id` is ours, where the provider has it."""

    reference: str
    charge_reference: str
    refund_id: UUID | None
    amount_minor: int
    occurred_at: datetime


class ProviderRecords(Message):
    """Everything that the provider has recorded since some time."""

    charges: tuple[ListedCharge, ...]
    refunds: tuple[ListedRefund, ...]


class PaymentProvider(Protocol):
    """A provider that charges and refunds, at most once for each idempotency key.

    No method raises an exception for a failure of the provider or of the network: the result
    says what is known.
    """

    async def charge(self, request: ChargeRequest) -> OperationResult:
        """Charge the amount, with the payment's id as the idempotency key."""
        ...

    async def find_charge(self, lookup: ChargeLookup) -> OperationResult | NotFound:
        """Look a charge up by the payment's id, independently of the idempotency key."""
        ...

    async def void(self, reference: str) -> Succeeded | Unavailable:
        """Cancel a charge that is under review."""
        ...

    async def refund(self, request: RefundRequest) -> OperationResult:
        """Refund the amount, with the refund's id as the idempotency key."""
        ...

    async def find_refund(self, request: RefundRequest) -> OperationResult | NotFound:
        """Look a refund up by its id, independently of the idempotency key."""
        ...

    async def list_since(self, since: datetime) -> ProviderRecords | Unavailable:
        """Return every charge and refund that the provider has recorded since then (UTC)."""
        ...
