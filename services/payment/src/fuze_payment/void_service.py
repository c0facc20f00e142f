"""Voids, on top of charges and refunds: whatever happened to a charge, no money is kept."""

from fuze_contracts.payment import VoidOutcome, VoidPayment
from fuze_payment.charge_service import Charges, token_conflict
from fuze_payment.domain import NextStep, Payment, ProviderGuarantees, step_to_void
from fuze_payment.refund_service import RefundService
from fuze_payment.retryable_operations import RetryableOperations, outcome_unknown
from fuze_psp.provider import (
    NotAttempted,
    NotFound,
    PaymentProvider,
    Rejected,
    RetryLater,
    Succeeded,
    UnderReview,
)


class VoidService:
    """Voids an open charge, or refunds what was charged."""

    def __init__(
        self,
        charges: Charges,
        operations: RetryableOperations[Payment],
        refunds: RefundService,
        provider: PaymentProvider,
        guarantees: ProviderGuarantees,
    ) -> None:
        self._charges = charges
        self._payments = charges.repository
        self._operations = operations
        self._refunds = refunds
        self._provider = provider
        self._guarantees = guarantees

    async def void(self, command: VoidPayment) -> VoidOutcome:
        """Make sure that no money is kept under this token.

        Raises:
            ApplicationError: `PAYMENT_TOKEN_CONFLICT`, final; `PAYMENT_IN_FLIGHT` or
                `PAYMENT_OUTCOME_UNKNOWN`, to be retried.

        """
        payment = await self._payments.request_void(command)
        if not payment.matches(command.charge):
            raise token_conflict()
        payment = await self._operations.acquire(payment)
        if not payment.state.is_settled:
            payment = await self._void_open_charge(payment)
        return await self._refunds.refund_remaining(payment, command.reason)

    async def _void_open_charge(self, payment: Payment) -> Payment:
        """Return the settled payment: charged, declined or voided."""
        result = await self._charges.look_up(payment)
        if isinstance(result, UnderReview):
            voided = await self._provider.void(result.reference)
            if isinstance(voided, Succeeded):
                return await self._payments.void(payment)
            result = voided
        match result:
            case Succeeded() | Rejected():
                return await self._payments.settle(payment, result)
            case NotFound() if step_to_void(payment, self._guarantees) is NextStep.EXPIRE:
                return await self._payments.void(payment)
            case NotAttempted() | RetryLater():
                await self._payments.release(payment)
                raise outcome_unknown("the provider is unavailable", result.retry_after)
            case _:
                await self._payments.release(payment)
                raise outcome_unknown("the charge may still take effect")
