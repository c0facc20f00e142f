"""The payment service's states, decisions and identifiers. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from uuid import NAMESPACE_URL, UUID, uuid5

from fuze_contracts.base import Message
from fuze_contracts.money import Money
from fuze_contracts.payment import ChargePayment

_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/payments")

ACTOR = "payment-service"
"""The actor of refunds that no caller requested."""

LATE_CAPTURE = "charged after a void was requested"
"""The reason of the refund of a late capture."""


class PaymentState(StrEnum):
    """The state of a payment."""

    CREATED = "created"
    """Claimed; no request was sent to the provider."""
    SUBMITTED = "submitted"
    """A request is about to be sent, or was sent: the provider may have it."""
    UNKNOWN = "unknown"
    """A request was sent, and its outcome is not known."""
    UNDER_REVIEW = "under_review"
    """The provider decides later."""
    CHARGED = "charged"
    DECLINED = "declined"
    VOIDED = "voided"
    """Closed without a charge. Should a late capture appear, it is refunded."""

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is known."""
        return self in {PaymentState.CHARGED, PaymentState.DECLINED, PaymentState.VOIDED}


class RefundState(StrEnum):
    """The state of a refund; a state of the same name means the same as a payment's."""

    CREATED = "created"
    SUBMITTED = "submitted"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    REJECTED = "rejected"

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is known."""
        return self in {RefundState.REFUNDED, RefundState.REJECTED}


class ProviderOperation(Message):
    """What a charge and a refund have in common: a row with a lease.

    `lease_left` is how long another attempt still holds the lease. `key_age` and
    `since_last_submitted` are the times since the first and the last request were sent; they are
    measured by the database's clock, and None before the first request.
    """

    id: UUID
    state: PaymentState | RefundState
    fencing_token: int
    lease_left: timedelta
    key_age: timedelta | None
    since_last_submitted: timedelta | None
    first_submitted_at: datetime | None
    last_submitted_at: datetime | None
    created_at: datetime
    amount_minor: int
    currency: str
    provider_reference: str | None

    @property
    def amount(self) -> Money:
        """The amount to charge or to refund. It never changes."""
        return Money(amount_minor=self.amount_minor, currency=self.currency)


class Payment(ProviderOperation):
    """A row of `payments`."""

    payment_token: str
    order_id: UUID
    payment_method: str | None
    state: PaymentState
    decline_code: str | None
    refunded_minor: int
    void_requested: bool

    def matches(self, command: ChargePayment) -> bool:
        """Return whether the command is the one that the token was first used for."""
        return (self.order_id, self.amount, self.payment_method) == (
            command.order_id,
            command.amount,
            command.payment_method,
        )


class Refund(ProviderOperation):
    """A row of `refunds`, with the provider's reference of its payment."""

    payment_id: UUID
    reason: str
    actor: str
    state: RefundState
    rejection_code: str | None
    charge_reference: str | None


@dataclass(frozen=True, kw_only=True)
class ProviderGuarantees:
    """What the protocol relies on.

    The provider replays the result of a repeated key for `idempotency_key_ttl` after its first
    request. A request takes effect within `settle_window` after it was sent, or never.
    """

    idempotency_key_ttl: timedelta
    settle_window: timedelta


class NextStep(Enum):
    """What to do with an operation whose outcome is not known."""

    SUBMIT = auto()
    LOOK_UP = auto()
    WAIT = auto()
    EXPIRE = auto()
    """No request can take effect any more."""


def first_step(state: PaymentState | RefundState) -> NextStep:
    """Return SUBMIT only where no request was sent; anything else is looked up first."""
    if state in {PaymentState.CREATED, RefundState.CREATED}:
        return NextStep.SUBMIT
    return NextStep.LOOK_UP


def step_when_not_found(operation: ProviderOperation, guarantees: ProviderGuarantees) -> NextStep:
    """Return the step after a lookup that found nothing, which alone proves nothing.

    While the key is young, a second request with it is safe even if the first one still takes
    effect. One request may take as long as the settle window, so a key is trusted for that much
    less than the provider promises.
    """
    if operation.key_age is None or operation.since_last_submitted is None:
        return NextStep.SUBMIT
    if operation.key_age < guarantees.idempotency_key_ttl - guarantees.settle_window:
        return NextStep.SUBMIT
    if operation.since_last_submitted < guarantees.settle_window:
        return NextStep.WAIT
    return NextStep.EXPIRE


def step_to_void(payment: Payment, guarantees: ProviderGuarantees) -> NextStep:
    """Return the step after a lookup that found nothing of a payment that is to be voided."""
    if (
        payment.since_last_submitted is None
        or payment.since_last_submitted >= guarantees.settle_window
    ):
        return NextStep.EXPIRE
    return NextStep.WAIT


def payment_id(order_id: UUID, payment_token: str) -> UUID:
    """Return the payment's id, the same for every attempt of this order with this token."""
    return uuid5(_NAMESPACE, f"{order_id}/{payment_token}")


def void_refund_id(payment: UUID, attempt: int = 0) -> UUID:
    """Return the id of the refund that compensates a whole payment, so that there is only one.

    `attempt` counts the refunds before it that the provider rejected.
    """
    return uuid5(_NAMESPACE, f"void:{payment}" if attempt == 0 else f"void:{payment}:{attempt}")
