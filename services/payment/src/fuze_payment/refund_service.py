"""Refunds: the other kind of provider operation."""

from datetime import timedelta
from uuid import UUID

from fuze_contracts.money import Money
from fuze_contracts.payment import (
    Refunded,
    RefundOutcome,
    RefundPayment,
    RefundRejected,
    RefundRejection,
    RefundReserved,
    ReserveRefundOutcome,
    Voided,
    VoidOutcome,
)
from fuze_payment.domain import ACTOR, Payment, PaymentState, Refund, RefundState, void_refund_id
from fuze_payment.payment_repository import PaymentRepository
from fuze_payment.refund_repository import RefundRepository
from fuze_payment.retryable_operations import OperationKind, RetryableOperations, outcome_unknown
from fuze_psp.provider import NotFound, OperationResult, PaymentProvider, RefundRequest

_RETRY_AFTER_REJECTION = timedelta(hours=1)


class Refunds(OperationKind[Refund]):
    """How a refund is submitted and looked up."""

    def __init__(self, repository: RefundRepository, provider: PaymentProvider) -> None:
        self._repository = repository
        self._provider = provider

    @property
    def repository(self) -> RefundRepository:
        """Return where refunds are recorded."""
        return self._repository

    async def submit(self, operation: Refund) -> OperationResult:
        """Refund the amount, with the refund's id as the idempotency key."""
        return await self._provider.refund(_request(operation))

    async def look_up(self, operation: Refund) -> OperationResult | NotFound:
        """Return what the provider has under the refund's id."""
        return await self._provider.find_refund(_request(operation))

    async def close_expired(self, operation: Refund) -> Refund | None:
        """Submit it again: no earlier request can take effect, and the money is still owed."""
        del operation
        return None


class RefundService:
    """Refunds part of a payment, or all that is left of it."""

    def __init__(
        self,
        payments: PaymentRepository,
        refunds: Refunds,
        operations: RetryableOperations[Refund],
    ) -> None:
        self._payments = payments
        self._refunds = refunds.repository
        self._operations = operations

    async def refund(self, command: RefundPayment) -> RefundOutcome:
        """Return the one outcome of this refund, which is reserved first.

        Raises:
            ApplicationError: `PAYMENT_IN_FLIGHT` or `PAYMENT_OUTCOME_UNKNOWN`, to be retried.

        """
        decided = await self._decide(command)
        if isinstance(decided, RefundRejected):
            return decided
        return _outcome(await self._operations.execute(decided))

    async def reserve(self, command: RefundPayment) -> ReserveRefundOutcome:
        """Return the one decision about this refund; its amount is reserved in the payment's row.

        Raises:
            ApplicationError: `PAYMENT_OUTCOME_UNKNOWN`, to be retried.

        """
        decided = await self._decide(command)
        if isinstance(decided, RefundRejected):
            return decided
        return RefundReserved(
            refund_id=decided.id,
            amount=decided.amount,
            lines=decided.lines,
            reason=decided.reason,
            actor=decided.actor,
            fingerprint=decided.fingerprint,
        )

    async def _decide(self, command: RefundPayment) -> Refund | RefundRejected:
        payment = await self._payments.find(command.order_id, command.payment_token)
        if payment is not None and not payment.state.is_settled:
            raise outcome_unknown("it is not known yet whether the payment is charged")
        if payment is None or payment.state is not PaymentState.CHARGED:
            return RefundRejected(refund_id=command.refund_id, code=RefundRejection.NOT_CHARGED)
        amount = command.amount
        if amount and (payment.currency != amount.currency or amount.amount_minor == 0):
            return RefundRejected(refund_id=command.refund_id, code=RefundRejection.AMOUNT_INVALID)
        refund, details = await self._refunds.reserve(payment, command)
        if refund.is_reserved:
            return refund
        payment = await self._payments.get(payment.id) or payment
        return RefundRejected(
            refund_id=refund.id,
            code=refund.rejection_code or RefundRejection.MORE_THAN_CHARGED,
            refundable=Money(
                amount_minor=payment.amount_minor - payment.refunded_minor,
                currency=payment.currency,
            ),
            details=details,
            fingerprint=refund.fingerprint,
        )

    async def refund_remaining(self, payment: Payment, reason: str) -> VoidOutcome:
        """Refund what is left of a charged payment; any other payment needs no refund.

        Raises:
            ApplicationError: `PAYMENT_IN_FLIGHT` or `PAYMENT_OUTCOME_UNKNOWN`, to be retried.

        """
        if payment.state is not PaymentState.CHARGED or payment.amount_minor == 0:
            return Voided()
        refund_id, existing = await self._current_void_refund(payment)
        if existing is None:
            # What an open refund has reserved is not refunded yet, and may be rejected.
            for other in await self._refunds.list_open(payment.id):
                await self._operations.execute(other)
            payment = await self._payments.get(payment.id) or payment
        remaining = payment.amount_minor - payment.refunded_minor
        if remaining == 0 and existing is None:
            # Each of the refunds that were requested has been reported by itself.
            return Refunded(
                refund_id=refund_id, amount=Money(amount_minor=0, currency=payment.currency)
            )
        amount_minor = existing.amount_minor if existing else remaining
        command = RefundPayment(
            order_id=payment.order_id,
            payment_token=payment.payment_token,
            refund_id=refund_id,
            amount=Money(amount_minor=amount_minor, currency=payment.currency),
            reason=reason,
            actor=ACTOR,
        )
        claimed = await self._refunds.claim(payment, command)
        if claimed is None:
            raise outcome_unknown("another refund has reserved part of the remaining amount")
        refund = await self._operations.execute(claimed)
        if refund.state is RefundState.REJECTED:
            # A later attempt may succeed; meanwhile the failing step is reported to an operator.
            raise outcome_unknown(
                f"the provider rejects the refund: {refund.rejection_code}",
                _RETRY_AFTER_REJECTION,
            )
        return _refunded(refund)

    async def _current_void_refund(self, payment: Payment) -> tuple[UUID, Refund | None]:
        """Return the id of the refund that compensates this payment, and its row if it exists.

        A rejection is final for its id, so each rejected refund is followed by another one.
        """
        attempt = 0
        while True:
            refund_id = void_refund_id(payment.id, attempt)
            refund = await self._refunds.get(refund_id)
            if refund is None or refund.state is not RefundState.REJECTED:
                return refund_id, refund
            attempt += 1


def _request(refund: Refund) -> RefundRequest:
    return RefundRequest(
        refund_id=refund.id,
        payment_id=refund.payment_id,
        charge_reference=refund.charge_reference,
        amount=refund.amount,
    )


def _outcome(refund: Refund) -> RefundOutcome:
    if refund.state is RefundState.REJECTED:
        return RefundRejected(refund_id=refund.id, code=refund.rejection_code or "rejected")
    return _refunded(refund)


def _refunded(refund: Refund) -> Refunded:
    return Refunded(
        refund_id=refund.id,
        amount=refund.amount,
        provider_reference=refund.provider_reference,
    )
