"""The provider's books against ours: what does not agree. Pure."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from fuze_contracts.base import Message
from fuze_payment.provider import ListedCharge, ProviderBooks
from fuze_payment.rules import Payment, PaymentState, Refund, RefundState


class OurBooks(Message):
    """Our side of a comparison. `at_rest` are those that nobody is working on."""

    payments: tuple[Payment, ...]
    refunds: tuple[Refund, ...]
    at_rest: frozenset[UUID]

    def payment(self, payment: UUID | None) -> Payment | None:
        """Return a payment that is at rest."""
        found = (one for one in self.payments if one.id == payment and one.id in self.at_rest)
        return next(found, None)

    def given_back_minor(self, payment: Payment) -> int:
        """Return what has surely been given back; a refund under way may still be refused."""
        return sum(
            refund.amount_minor
            for refund in self.refunds
            if refund.payment_id == payment.id and refund.state is RefundState.REFUNDED
        )


class Finding(Message):
    """One thing that the two books do not agree on; `occurred_at` is when it was written (UTC)."""

    kind: str
    reference: str
    order_id: UUID | None = None
    occurred_at: datetime
    details: dict[str, JsonValue]


def is_to_be_mended(payment: Payment, given_back_minor: int) -> bool:
    """Whether the provider's word that it has the money settles something here."""
    if payment.state is PaymentState.CHARGED:
        return payment.void_requested and given_back_minor < payment.amount_minor
    return payment.state is not PaymentState.DECLINED


def compare(theirs: ProviderBooks, ours: OurBooks, since: datetime) -> list[Finding]:
    """Return what the books do not agree on, of everything that is at rest.

    Ours go further back than theirs: what we began before `since` they need not list.
    """
    return [*_of_charges(theirs, ours, since), *_of_refunds(theirs, ours, since)]


def _of_charges(theirs: ProviderBooks, ours: OurBooks, since: datetime) -> Iterator[Finding]:
    taken = [charge for charge in theirs.charges if charge.taken]
    known = {payment.id: payment for payment in ours.payments}
    times = Counter(charge.payment_id for charge in taken)
    for charge in taken:
        payment = known.get(charge.payment_id) if charge.payment_id else None
        if payment is None:
            yield _about(charge, "unmatched_provider_charge")
        elif payment.id not in ours.at_rest:
            continue
        elif times[payment.id] > 1 and payment.provider_reference != charge.reference:
            yield _about(charge, "duplicate_charge")
        elif payment.state is not PaymentState.CHARGED:
            yield _about(charge, "missing_capture", ours=payment.state.value)
        elif (charge.amount_minor, charge.currency) != (payment.amount_minor, payment.currency):
            yield _about(charge, "amount_mismatch", ours_minor=payment.amount_minor)
        elif is_to_be_mended(payment, given_back := ours.given_back_minor(payment)):
            yield _about(charge, "void_not_refunded", given_back_minor=given_back)
    there = {charge.reference for charge in taken}
    for payment in ours.payments:
        taken_here = payment.state is PaymentState.CHARGED and payment.amount_minor > 0
        settled = taken_here and payment.id in ours.at_rest and payment.created_at >= since
        if settled and payment.provider_reference not in there:
            yield Finding(
                kind="missing_provider_charge",
                reference=str(payment.id),
                order_id=payment.order_id,
                occurred_at=payment.created_at,
                details={"provider_reference": payment.provider_reference},
            )


def _of_refunds(theirs: ProviderBooks, ours: OurBooks, since: datetime) -> Iterator[Finding]:
    known = {refund.id: refund for refund in ours.refunds}
    orders: dict[UUID, UUID] = {payment.id: payment.order_id for payment in ours.payments}
    for listed in theirs.refunds:
        refund = known.get(listed.refund_id) if listed.refund_id else None
        if refund is None or (
            refund.id in ours.at_rest and refund.state is not RefundState.REFUNDED
        ):
            yield Finding(
                kind="missing_refund",
                reference=listed.reference,
                order_id=orders.get(refund.payment_id) if refund else None,
                occurred_at=listed.occurred_at,
                details={"amount_minor": listed.amount_minor, "charge": listed.charge_reference},
            )
    there = {refund.reference for refund in theirs.refunds}
    for refund in ours.refunds:
        done = refund.state is RefundState.REFUNDED and refund.id in ours.at_rest
        if done and refund.created_at >= since and refund.provider_reference not in there:
            yield Finding(
                kind="missing_provider_refund",
                reference=str(refund.id),
                order_id=orders.get(refund.payment_id),
                occurred_at=refund.created_at,
                details={"provider_reference": refund.provider_reference},
            )


def _about(charge: ListedCharge, kind: str, **details: str | int) -> Finding:
    return Finding(
        kind=kind,
        reference=charge.reference,
        order_id=charge.order_id,
        occurred_at=charge.occurred_at,
        details={"amount_minor": charge.amount_minor, "currency": charge.currency, **details},
    )
