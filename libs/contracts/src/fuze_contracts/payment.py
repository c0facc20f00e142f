"""The payment service's contract: its activities, its workflows and their messages."""

from abc import ABC, abstractmethod
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import Field
from temporalio import activity, workflow

from fuze_contracts.base import Message
from fuze_contracts.money import Money
from fuze_contracts.refund_allocation import OrderShares, RefundedLine, RefundLine

PAYMENT_TASK_QUEUE = "payment"

PAYMENT_TOKEN_CONFLICT = "PaymentTokenConflict"  # noqa: S105 - an error type, not a secret
"""Non-retryable: the order, or its token, already has another charge."""


PAYMENT_OUTCOME_UNKNOWN = "PaymentOutcomeUnknown"
"""Retryable: the provider gave no definite result, or was unavailable."""

PAYMENT_IN_FLIGHT = "PaymentInFlight"
"""Retryable: another attempt is in flight."""

PAYMENT_UNDER_REVIEW = "PaymentUnderReview"
"""Retryable: the provider reviews the payment before it decides."""


def default_payment_token(order_id: UUID, attempt: int) -> str:
    """Return the token of one attempt to charge an order.

    It depends on nothing else, so a workflow that was reset uses the same token again.
    """
    return f"{order_id}:{attempt}"


class ChargePayment(Message):
    """Charge `amount` once for the order's `payment_token`, however often it is repeated.

    Tokens of different orders are different tokens.
    `payment_method` is the provider's id of it; it is required unless the amount is zero.
    """

    order_id: UUID
    payment_token: str
    amount: Money
    payment_method: str | None = None


class Charged(Message):
    """The amount was charged. `provider_reference` is None for an amount of zero."""

    outcome: Literal["charged"] = "charged"
    payment_id: UUID
    provider_reference: str | None = None


class Declined(Message):
    """The charge was declined, which is final for this token. `code` is the provider's reason.

    `payment_id` is None where there is no payment under this token.
    """

    outcome: Literal["declined"] = "declined"
    payment_id: UUID | None = None
    code: str


class RefundRejection(StrEnum):
    """Why nothing was reserved for a refund."""

    NOT_CHARGED = "not_charged"
    MORE_THAN_CHARGED = "more_than_charged"
    MORE_THAN_ORDERED = "more_than_ordered"
    AMOUNT_INVALID = "amount_invalid"
    """The amount is zero, or in another currency than the payment; or nothing is left of it."""


class RefundPayment(Message):
    """Refund part of a payment once for `refund_id`, however often the command is repeated.

    That is `amount`; or the `lines` and the shipping of an order that is divided into `shares`; or,
    without all of these, what is left of the payment. `actor` is who requested it, `fingerprint` a
    digest of the request. A refund that keeps failing needs attention after
    `step_failure_alert_after`. With `up_to_left` units and money that other refunds have are left
    out; without it they are a reason to refuse the refund.
    """

    order_id: UUID
    payment_token: str
    refund_id: UUID
    amount: Money | None = None
    reason: str | None = None
    actor: str = "unknown"
    lines: tuple[RefundLine, ...] = ()
    include_shipping: bool = False
    shares: OrderShares | None = None
    fingerprint: str | None = None
    step_failure_alert_after: timedelta = timedelta(hours=1)
    up_to_left: bool = False


class RefundReserved(Message):
    """The amount is reserved: no other refund can have it, and this one will be executed.

    It is what was committed first for the refund's id; a different `fingerprint` than the
    request's shows that the id was used for another request.
    """

    outcome: Literal["reserved"] = "reserved"
    refund_id: UUID
    amount: Money
    lines: tuple[RefundedLine, ...] = ()
    reason: str | None = None
    actor: str
    fingerprint: str | None = None


class Refunded(Message):
    """The amount was refunded. `provider_reference` is None for an amount of zero."""

    outcome: Literal["refunded"] = "refunded"
    refund_id: UUID
    amount: Money
    provider_reference: str | None = None


class RefundRejected(Message):
    """The refund was rejected, which is final for its id.

    `code` is a `RefundRejection` where nothing was reserved, or else the provider's reason.
    `refundable` is what is left of the payment, `details` says of what too much was requested.
    """

    outcome: Literal["rejected"] = "rejected"
    refund_id: UUID
    code: str
    refundable: Money | None = None
    details: str | None = None
    fingerprint: str | None = None


class VoidPayment(Message):
    """Void a charge in any state, even one that was never requested: no money is kept."""

    charge: ChargePayment
    reason: str


class Voided(Message):
    """No money was charged under this token; a late capture is refunded."""

    outcome: Literal["voided"] = "voided"


ReserveRefundOutcome = Annotated[RefundReserved | RefundRejected, Field(discriminator="outcome")]
RefundOutcome = Annotated[Refunded | RefundRejected, Field(discriminator="outcome")]
VoidOutcome = Annotated[Voided | Refunded, Field(discriminator="outcome")]
ChargeOutcome = Annotated[Charged | Declined, Field(discriminator="outcome")]


class ListKeptCharges(Message):
    """List the charges of these orders of which money is kept."""

    order_ids: tuple[UUID, ...]


class KeptCharges(Message):
    """Charges that succeeded, and are not refunded in full."""

    charges: tuple[ChargePayment, ...]


class PaymentActivities(Protocol):
    """The activities on the payment task queue.

    Errors: `PAYMENT_TOKEN_CONFLICT` is non-retryable. After any other error the outcome is not
    known yet: repeat the same command.
    """

    @activity.defn
    async def payment_charged(self, command: ChargePayment) -> ChargeOutcome:
        """Return the one outcome of this token, charging it if no attempt has yet."""
        ...

    @activity.defn
    async def refund_reserved(self, command: RefundPayment) -> ReserveRefundOutcome:
        """Return the one decision about this refund, reserving its amount if it has none yet."""
        ...

    @activity.defn
    async def payment_refunded(self, command: RefundPayment) -> RefundOutcome:
        """Return the one outcome of this refund, executing it if no attempt has yet."""
        ...

    @activity.defn
    async def payment_voided(self, command: VoidPayment) -> VoidOutcome:
        """Make sure that no money is kept under this token: never charged, or refunded in full."""
        ...

    @activity.defn
    async def kept_charges_listed(self, command: ListKeptCharges) -> KeptCharges:
        """Return the orders' charges of which money is kept."""
        ...


@workflow.defn
class RefundWorkflow(ABC):
    """Refund part of a shipped order's payment, however long the provider is unavailable.

    It can be run again at any time: what is committed for the refund's id is not done twice.
    """

    @workflow.run
    @abstractmethod
    async def run(self, command: RefundPayment) -> RefundOutcome:
        """Return the outcome of the refund, once the order has it as an event."""

    @workflow.signal
    @abstractmethod
    async def wake_up(self) -> None:
        """Run a workflow task, and change nothing.

        As `ShippingWorkflow.wake_up`: for a child that was given no workflow task.
        """

    @workflow.update
    @abstractmethod
    async def reserve(self) -> ReserveRefundOutcome:
        """Return the decision, as soon as it is committed."""


class RefreshPayment(Message):
    """Look up a payment at the provider, because its webhook says that something changed."""

    payment_id: UUID


@workflow.defn
class PaymentWebhookWorkflow(ABC):
    """Process the webhook events of one payment, which has one such workflow at a time.

    The content of the event is not trusted: the payment is looked up at the provider.
    """

    @workflow.run
    @abstractmethod
    async def run(self, command: RefreshPayment) -> str:
        """Return the payment's state after the lookup, or `not_found`."""
