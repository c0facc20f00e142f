"""The payment service's states, decisions and identifiers. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from uuid import NAMESPACE_URL, UUID, uuid5

from fuze_contracts.base import Message
from fuze_contracts.money import Money
from fuze_contracts.payment import ChargePayment, RefundPayment, RefundRejection
from fuze_contracts.refund_allocation import (
    OrderShares,
    QuantityExceededError,
    RefundedLine,
    limit_refund,
    price_refund,
)

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
    """A row of `refunds`, with what it needs of its payment."""

    payment_id: UUID
    order_id: UUID
    payment_token: str
    lines: tuple[RefundedLine, ...]
    reason: str | None
    actor: str
    fingerprint: str | None
    state: RefundState
    rejection_code: str | None
    charge_reference: str | None

    @property
    def is_reserved(self) -> bool:
        """Whether its amount was reserved, so that it was sent to the provider or will be."""
        return self.state is not RefundState.REJECTED or self.first_submitted_at is not None


@dataclass(frozen=True, kw_only=True)
class RefundDecision:
    """The amount of a refund; with a rejection nothing is reserved.

    `details` says of what too much was requested.
    """

    amount_minor: int
    lines: list[RefundedLine] = field(default_factory=list)
    rejection: RefundRejection | None = None
    details: str | None = None


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


def decide_refund(
    command: RefundPayment, refundable_minor: int, earlier: Sequence[RefundedLine]
) -> RefundDecision:
    """Return the amount of a requested refund, or why it is refused.

    `refundable_minor` is what is left of the payment, `earlier` what its other refunds contain.
    """
    lines: list[RefundedLine] = []
    if command.amount is not None:
        amount_minor = command.amount.amount_minor
    elif command.lines or command.include_shipping:
        try:
            lines = price_refund(
                command.shares or OrderShares(lines=()),
                command.lines,
                include_shipping=command.include_shipping,
                earlier=earlier,
                up_to_left=command.up_to_left,
            )
        except QuantityExceededError as error:
            details = (
                "shipping is refunded already"
                if error.line_id is None
                else f"{error.left} of line {error.line_id} can be refunded"
            )
            return RefundDecision(
                amount_minor=0, rejection=RefundRejection.MORE_THAN_ORDERED, details=details
            )
        if command.up_to_left:
            lines = limit_refund(lines, refundable_minor)
        amount_minor = sum(line.amount_minor for line in lines)
        if amount_minor == 0:
            return RefundDecision(amount_minor=0, rejection=RefundRejection.AMOUNT_INVALID)
    else:
        amount_minor = refundable_minor
    is_refused = amount_minor > refundable_minor or refundable_minor == 0
    return RefundDecision(
        amount_minor=amount_minor,
        lines=lines,
        rejection=RefundRejection.MORE_THAN_CHARGED if is_refused else None,
    )


def payment_id(order_id: UUID, payment_token: str) -> UUID:
    """Return the payment's id, the same for every attempt of this order with this token."""
    return uuid5(_NAMESPACE, f"{order_id}/{payment_token}")


def void_refund_id(payment: UUID, attempt: int = 0) -> UUID:
    """Return the id of the refund that compensates a whole payment, so that there is only one.

    `attempt` counts the refunds before it that the provider rejected.
    """
    return uuid5(_NAMESPACE, f"void:{payment}" if attempt == 0 else f"void:{payment}:{attempt}")
