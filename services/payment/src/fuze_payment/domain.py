"""The payment service's decisions. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from uuid import NAMESPACE_URL, UUID, uuid5

from fuze_contracts.base import Message
from fuze_contracts.money import Money
from fuze_contracts.payment import ChargePayment

_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/payments")


class PaymentState(StrEnum):
    """Where a payment stands. From `CHARGED` on it is settled."""

    CREATED = "created"
    """Claimed; nothing was sent to the provider."""
    SUBMITTED = "submitted"
    """About to be sent, or sent: the provider may have it."""
    UNKNOWN = "unknown"
    """Sent, and the provider did not say."""
    UNDER_REVIEW = "under_review"
    """The provider reviews it."""
    CHARGED = "charged"
    DECLINED = "declined"
    VOIDED = "voided"
    """Let go of: whatever the provider may still take is given back."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to find out."""
        return self in {PaymentState.CHARGED, PaymentState.DECLINED, PaymentState.VOIDED}


class RefundState(StrEnum):
    """Where a refund stands; the same words as a payment's, where they mean the same."""

    CREATED = "created"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    REJECTED = "rejected"

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to find out."""
        return self in {RefundState.REFUNDED, RefundState.REJECTED}


class Errand(Message):
    """What every errand to the provider has.

    `key_age` and `since_last_submitted` are since the key was first and last sent, by the
    database's clock,
    and None where nothing was sent. `lease_left` is how long somebody still works on it.
    """

    id: UUID
    fencing_token: int
    lease_left: timedelta
    key_age: timedelta | None
    since_last_submitted: timedelta | None
    created_at: datetime


class Payment(Errand):
    """A payment as PostgreSQL holds it."""

    payment_token: str
    order_id: UUID
    amount_minor: int
    currency: str
    payment_method: str | None
    state: PaymentState
    provider_reference: str | None
    decline_code: str | None
    refunded_minor: int
    void_requested: bool

    @property
    def amount(self) -> Money:
        """What is to be taken, frozen when the token was claimed."""
        return Money(amount_minor=self.amount_minor, currency=self.currency)


class Refund(Errand):
    """A refund as PostgreSQL holds it, with what it needs of its payment."""

    payment_id: UUID
    amount_minor: int
    currency: str
    reason: str
    state: RefundState
    provider_reference: str | None
    rejection_code: str | None
    charge_reference: str | None

    @property
    def amount(self) -> Money:
        """What is to be given back."""
        return Money(amount_minor=self.amount_minor, currency=self.currency)


@dataclass(frozen=True, kw_only=True)
class ProviderPromise:
    """What we rely on.

    A provider answers a repeated key like the first time for `keys_kept`; we stop relying on it
    earlier, by the time that one request may take. A request that was sent may still land within
    `settle_window`.
    """

    keys_kept: timedelta
    settle_window: timedelta


class NextStep(Enum):
    """What to do for an errand whose outcome is open."""

    ASK = auto()
    LOOK_UP = auto()
    WAIT = auto()
    GIVE_UP = auto()


def next_step(state: PaymentState | RefundState) -> NextStep:
    """Ask only where nothing was sent: everything else is looked up first."""
    return (
        NextStep.ASK if state in {PaymentState.CREATED, RefundState.CREATED} else NextStep.LOOK_UP
    )


def step_when_not_found(errand: Errand, promise: ProviderPromise) -> NextStep:
    """Decide when the provider has nothing under our id, which proves nothing yet.

    While the key is young, asking again with it is safe whatever became of the first request.
    After that only time tells: what has not landed within the settle window will not.
    """
    if errand.key_age is None or errand.since_last_submitted is None:
        return NextStep.ASK
    if errand.key_age < promise.keys_kept - promise.settle_window:
        return NextStep.ASK
    return (
        NextStep.WAIT if errand.since_last_submitted < promise.settle_window else NextStep.GIVE_UP
    )


def step_to_void(payment: Payment, promise: ProviderPromise) -> NextStep:
    """Decide about a payment that is to be let go of and that the provider does not have."""
    if (
        payment.since_last_submitted is None
        or payment.since_last_submitted >= promise.settle_window
    ):
        return NextStep.GIVE_UP
    return NextStep.WAIT


def payment_id(payment_token: str) -> UUID:
    """Name a payment by its token: every attempt, on any worker, finds the same name."""
    return uuid5(_NAMESPACE, payment_token)


def void_refund_id(payment: UUID, attempt: int = 0) -> UUID:
    """Name the refund that undoes a whole payment, so that it is made once.

    `attempt` counts those that the provider has refused for good.
    """
    return uuid5(_NAMESPACE, f"void:{payment}" if attempt == 0 else f"void:{payment}:{attempt}")


def asks_the_same(payment: Payment, command: ChargePayment) -> bool:
    """Whether the command asks for just what its token was first used for."""
    return (
        payment.order_id,
        payment.amount_minor,
        payment.currency,
        payment.payment_method,
    ) == (
        command.order_id,
        command.amount.amount_minor,
        command.amount.currency,
        command.payment_method,
    )
