"""The comparison of the provider's records with ours. Pure."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from fuze_contracts.base import Message
from fuze_contracts.read_models import DiscrepancyKindName
from fuze_payment.domain import Payment, PaymentState, Refund, RefundState
from fuze_psp.provider import ListedCharge, ProviderRecords


class PaymentRecords(Message):
    """Our side of the comparison. `idle` has the ids of the rows with no attempt in flight."""

    payments: tuple[Payment, ...]
    refunds: tuple[Refund, ...]
    idle: frozenset[UUID]

    def find_idle_payment(self, payment_id: UUID | None) -> Payment | None:
        """Return a payment with no attempt in flight."""
        matching = (one for one in self.payments if one.id == payment_id and one.id in self.idle)
        return next(matching, None)

    def refunded_minor(self, payment: Payment) -> int:
        """Return the sum of the refunds that succeeded; an open one may still be rejected."""
        return sum(
            refund.amount_minor
            for refund in self.refunds
            if refund.payment_id == payment.id and refund.state is RefundState.REFUNDED
        )


class Discrepancy(Message):
    """One difference between the two sides; `occurred_at` is the time of its record (UTC)."""

    kind: DiscrepancyKindName
    reference: str
    order_id: UUID | None = None
    occurred_at: datetime
    details: dict[str, JsonValue]


def is_auto_repairable(payment: Payment, refunded_minor: int) -> bool:
    """Return whether a charge that succeeded at the provider requires a change here."""
    if payment.state is PaymentState.CHARGED:
        return payment.void_requested and refunded_minor < payment.amount_minor
    return payment.state is not PaymentState.DECLINED


def compare(theirs: ProviderRecords, ours: PaymentRecords, since: datetime) -> list[Discrepancy]:
    """Return the discrepancies between all idle records.

    Our records start earlier than the provider's, which need not list what we created before
    `since`.
    """
    return [*_compare_charges(theirs, ours, since), *_compare_refunds(theirs, ours, since)]


def _compare_charges(
    theirs: ProviderRecords, ours: PaymentRecords, since: datetime
) -> Iterator[Discrepancy]:
    succeeded = [charge for charge in theirs.charges if charge.succeeded]
    payments = {payment.id: payment for payment in ours.payments}
    occurrences = Counter(charge.payment_id for charge in succeeded)
    for charge in succeeded:
        payment = payments.get(charge.payment_id) if charge.payment_id else None
        if payment is None:
            yield _describe(charge, "unmatched_provider_charge")
        elif payment.id not in ours.idle:
            continue
        elif occurrences[payment.id] > 1 and payment.provider_reference != charge.reference:
            yield _describe(charge, "duplicate_charge")
        elif payment.state is not PaymentState.CHARGED:
            yield _describe(charge, "missing_capture", state=payment.state.value)
        elif (charge.amount_minor, charge.currency) != (payment.amount_minor, payment.currency):
            yield _describe(charge, "amount_mismatch", recorded_minor=payment.amount_minor)
        elif is_auto_repairable(payment, refunded := ours.refunded_minor(payment)):
            yield _describe(charge, "void_not_refunded", refunded_minor=refunded)
    references = {charge.reference for charge in succeeded}
    for payment in ours.payments:
        charged = payment.state is PaymentState.CHARGED and payment.amount_minor > 0
        comparable = charged and payment.id in ours.idle and payment.created_at >= since
        if comparable and payment.provider_reference not in references:
            yield Discrepancy(
                kind="missing_provider_charge",
                reference=str(payment.id),
                order_id=payment.order_id,
                occurred_at=payment.created_at,
                details={"provider_reference": payment.provider_reference},
            )


def _compare_refunds(
    theirs: ProviderRecords, ours: PaymentRecords, since: datetime
) -> Iterator[Discrepancy]:
    refunds = {refund.id: refund for refund in ours.refunds}
    orders: dict[UUID, UUID] = {payment.id: payment.order_id for payment in ours.payments}
    for listed in theirs.refunds:
        refund = refunds.get(listed.refund_id) if listed.refund_id else None
        if refund is None or (refund.id in ours.idle and refund.state is not RefundState.REFUNDED):
            yield Discrepancy(
                kind="missing_refund",
                reference=listed.reference,
                order_id=orders.get(refund.payment_id) if refund else None,
                occurred_at=listed.occurred_at,
                details={"amount_minor": listed.amount_minor, "charge": listed.charge_reference},
            )
    references = {refund.reference for refund in theirs.refunds}
    for refund in ours.refunds:
        comparable = refund.state is RefundState.REFUNDED and refund.id in ours.idle
        if comparable and refund.created_at >= since:
            if refund.provider_reference in references:
                continue
            yield Discrepancy(
                kind="missing_provider_refund",
                reference=str(refund.id),
                order_id=orders.get(refund.payment_id),
                occurred_at=refund.created_at,
                details={"provider_reference": refund.provider_reference},
            )


def _describe(charge: ListedCharge, kind: DiscrepancyKindName, **details: str | int) -> Discrepancy:
    return Discrepancy(
        kind=kind,
        reference=charge.reference,
        order_id=charge.order_id,
        occurred_at=charge.occurred_at,
        details={"amount_minor": charge.amount_minor, "currency": charge.currency, **details},
    )
