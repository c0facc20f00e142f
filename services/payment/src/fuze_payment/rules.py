"""The payment service's decisions. Pure."""

from uuid import NAMESPACE_URL, UUID, uuid5

from fuze_contracts.payment import ChargePayment
from fuze_contracts.wire import Message

_NAMESPACE = uuid5(NAMESPACE_URL, "fuze/payments")


class Payment(Message):
    """A payment as PostgreSQL holds it."""

    id: UUID
    payment_token: str
    order_id: UUID
    amount_minor: int
    currency: str
    payment_method: str | None
    state: str
    provider_reference: str | None
    decline_code: str | None


def payment_id(payment_token: str) -> UUID:
    """Name a payment by its token: every attempt, on any worker, finds the same name."""
    return uuid5(_NAMESPACE, payment_token)


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
