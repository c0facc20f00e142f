"""Reconciliation: the provider's records and ours are compared in both directions."""

from datetime import timedelta

import structlog
from temporalio.exceptions import ApplicationError

from fuze_payment.domain import LATE_CAPTURE, Payment
from fuze_payment.messages import ComparePayments, ReconciliationResult
from fuze_payment.payment_repository import PaymentRepository
from fuze_payment.reconciliation_repository import ReconciliationRepository
from fuze_payment.reconciliation_rules import compare, is_auto_repairable
from fuze_payment.refund_service import RefundService
from fuze_payment.retryable_operations import outcome_unknown
from fuze_psp.provider import PaymentProvider, ProviderRecords, Succeeded

_log = structlog.get_logger(__name__)

_MARGIN = timedelta(hours=1)
"""A row may be a little older than the provider's record of it."""


class Reconciliation:
    """Repairs what the provider's records decide, and lists the rest for an operator."""

    def __init__(
        self,
        repository: ReconciliationRepository,
        payments: PaymentRepository,
        refunds: RefundService,
        provider: PaymentProvider,
    ) -> None:
        self._repository = repository
        self._payments = payments
        self._refunds = refunds
        self._provider = provider

    async def reconcile(self, command: ComparePayments) -> ReconciliationResult:
        """Compare, repair, and record the discrepancies; safe to repeat.

        Raises:
            ApplicationError: `PAYMENT_OUTCOME_UNKNOWN`, to be retried: the provider's records could
                not be read.

        """
        theirs = await self._provider.list_since(command.since)
        if not isinstance(theirs, ProviderRecords):
            raise outcome_unknown("the provider's records cannot be read")
        repaired = await self._repair(theirs, command)
        ours = await self._repository.list_since(command.since - _MARGIN, command.idle_for)
        discrepancies = compare(theirs, ours, command.since)
        await self._repository.save(discrepancies, command.since)
        return ReconciliationResult(
            charges=len(theirs.charges),
            refunds=len(theirs.refunds),
            repaired=repaired,
            discrepancies=len(discrepancies),
        )

    async def _repair(self, theirs: ProviderRecords, command: ComparePayments) -> int:
        """Settle captures that are missing here, and refund those of voided payments."""
        ours = await self._repository.list_since(command.since - _MARGIN, command.idle_for)
        repaired = 0
        for charge in theirs.charges:
            payment = ours.find_idle_payment(charge.payment_id)
            if payment is None or not charge.succeeded:
                continue
            if not is_auto_repairable(payment, ours.refunded_minor(payment)):
                continue
            settled = await self._payments.settle(payment, Succeeded(reference=charge.reference))
            repaired += not settled.void_requested or await self._refund_late_capture(settled)
        return repaired

    async def _refund_late_capture(self, payment: Payment) -> bool:
        """Refund what is kept of a voided payment; False where that failed.

        It is then listed, and tried again at the next reconciliation: one refund that fails must
        not prevent the others.
        """
        try:
            await self._refunds.refund_remaining(payment, LATE_CAPTURE)
        except ApplicationError as error:
            _log.warning(
                "late capture not refunded yet", payment_id=str(payment.id), error=error.message
            )
            return False
        return True
