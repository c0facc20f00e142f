"""The payment service, as others see it."""

from abc import ABC, abstractmethod
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import Field
from temporalio import activity, workflow

from fuze_contracts.base import Message
from fuze_contracts.money import Money

PAYMENT_TASK_QUEUE = "payment"

PAYMENT_TOKEN_CONFLICT = "PaymentTokenConflict"  # noqa: S105 - an error type, not a secret
"""Final: the token was used before for another order, amount, currency or payment method."""


PAYMENT_OUTCOME_UNKNOWN = "PaymentOutcomeUnknown"
"""To be retried: the provider did not say, or could not be asked."""

PAYMENT_IN_FLIGHT = "PaymentInFlight"
"""To be retried: another attempt is asking right now."""

PAYMENT_UNDER_REVIEW = "PaymentUnderReview"
"""To be retried: the provider reviews the payment before it decides."""


def default_payment_token(order_id: UUID, attempt: int) -> str:
    """Name one attempt to charge an order.

    It comes from the logical action alone, so a reset workflow names the same attempt again.
    """
    return f"{order_id}:{attempt}"


class ChargePayment(Message):
    """Charge `amount` once for `payment_token`, however often this is asked.

    `payment_method` is the provider's name for it, and is needed unless the amount is zero.
    """

    order_id: UUID
    payment_token: str
    amount: Money
    payment_method: str | None = None


class Charged(Message):
    """The money was taken. `provider_reference` is None when there was nothing to take."""

    outcome: Literal["charged"] = "charged"
    payment_id: UUID
    provider_reference: str | None = None


class Declined(Message):
    """Refused, finally, for this token. `code` is the provider's reason.

    `payment_id` is None where nothing could be asked under this token.
    """

    outcome: Literal["declined"] = "declined"
    payment_id: UUID | None = None
    code: str


class RefundPayment(Message):
    """Give back `amount` of a payment, once for `refund_id`, however often this is asked."""

    order_id: UUID
    payment_token: str
    refund_id: UUID
    amount: Money
    reason: str


class Refunded(Message):
    """The money was given back. `provider_reference` is None when there was nothing to give."""

    outcome: Literal["refunded"] = "refunded"
    refund_id: UUID
    amount: Money
    provider_reference: str | None = None


class RefundRejected(Message):
    """Not given back, finally: `not_charged`, `more_than_charged`, or the provider's reason."""

    outcome: Literal["rejected"] = "rejected"
    refund_id: UUID
    code: str


class VoidPayment(Message):
    """Let go of a charge: whatever has become of it, even nothing yet, no money is kept."""

    charge: ChargePayment
    reason: str


class Voided(Message):
    """No money was taken under this token, and none will be kept."""

    outcome: Literal["voided"] = "voided"


RefundOutcome = Annotated[Refunded | RefundRejected, Field(discriminator="outcome")]
VoidOutcome = Annotated[Voided | Refunded, Field(discriminator="outcome")]
ChargeOutcome = Annotated[Charged | Declined, Field(discriminator="outcome")]


class PaymentActivities(Protocol):
    """What the payment task queue runs.

    Errors: `PAYMENT_TOKEN_CONFLICT` is final. Anything else means that the outcome is not known
    yet: ask again with the same token.
    """

    @activity.defn
    async def payment_charged(self, command: ChargePayment) -> ChargeOutcome:
        """Return the one outcome of this token, charging the provider if nobody has yet."""
        ...

    @activity.defn
    async def payment_refunded(self, command: RefundPayment) -> RefundOutcome:
        """Return the one outcome of this refund, asking the provider if nobody has yet."""
        ...

    @activity.defn
    async def payment_voided(self, command: VoidPayment) -> VoidOutcome:
        """Make sure that nothing is kept under this token: never charged, or refunded in full."""
        ...


@workflow.defn
class RefundWorkflow(ABC):
    """Give money of a shipped order back, however long the provider is away."""

    @workflow.run
    @abstractmethod
    async def run(self, command: RefundPayment) -> RefundOutcome:
        """Return what became of the refund."""


class RefreshPayment(Message):
    """The provider hints that something has become of a payment: see for yourself."""

    payment_id: UUID


@workflow.defn
class PaymentWebhookWorkflow(ABC):
    """Follow one event of the provider up: not what it says is believed, only that it came."""

    @workflow.run
    @abstractmethod
    async def run(self, command: RefreshPayment) -> str:
        """Return the state that the payment is in after the provider was asked."""
