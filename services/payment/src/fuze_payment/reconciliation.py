"""The provider's books and ours, compared both ways."""

from datetime import timedelta

import structlog
from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import PAYMENT_OUTCOME_UNKNOWN
from fuze_payment.comparing import compare, is_to_be_mended
from fuze_payment.messages import Reconcile, Reconciled
from fuze_payment.provider import PaymentProvider, ProviderBooks, Taken
from fuze_payment.reconciliation_repository import ReconciliationRepository
from fuze_payment.refunding import Refunding
from fuze_payment.repository import PaymentRepository
from fuze_payment.rules import Payment

_log = structlog.get_logger(__name__)

_MARGIN = timedelta(hours=1)
"""A row may be a little older than what the provider wrote for it."""


class Reconciliation:
    """Mends what the provider's word settles, and lists the rest for a person."""

    def __init__(
        self,
        repository: ReconciliationRepository,
        payments: PaymentRepository,
        refunding: Refunding,
        provider: PaymentProvider,
    ) -> None:
        self._repository = repository
        self._payments = payments
        self._refunding = refunding
        self._provider = provider

    async def reconcile(self, command: Reconcile) -> Reconciled:
        """Compare, mend, list; safe to repeat.

        Raises:
            ApplicationError: `PAYMENT_OUTCOME_UNKNOWN`, to be retried: the provider's books could
                not be read.

        """
        theirs = await self._provider.books_since(command.since)
        if not isinstance(theirs, ProviderBooks):
            raise ApplicationError(
                "the provider's books cannot be read", type=PAYMENT_OUTCOME_UNKNOWN
            )
        mended = await self._mend(theirs, command)
        ours = await self._repository.books_since(command.since - _MARGIN, command.at_rest_for)
        findings = compare(theirs, ours, command.since)
        await self._repository.keep(findings, command.since)
        return Reconciled(
            charges=len(theirs.charges),
            refunds=len(theirs.refunds),
            mended=mended,
            discrepancies=len(findings),
        )

    async def _mend(self, theirs: ProviderBooks, command: Reconcile) -> int:
        """Settle what the provider has taken and we do not know of; give back what we let go of."""
        ours = await self._repository.books_since(command.since - _MARGIN, command.at_rest_for)
        mended = 0
        for charge in theirs.charges:
            payment = ours.payment(charge.payment_id)
            if payment is None or not charge.taken:
                continue
            if not is_to_be_mended(payment, ours.given_back_minor(payment)):
                continue
            settled = await self._payments.settle(payment, Taken(reference=charge.reference))
            mended += not settled.void_requested or await self._is_given_back(settled)
        return mended

    async def _is_given_back(self, payment: Payment) -> bool:
        """Give back what is kept of a payment that was let go of; False where that failed.

        Then it is listed, and tried again the next time: one refund that fails must not keep the
        others from being made.
        """
        try:
            await self._refunding.give_back_all(payment, "let go of before it was taken")
        except ApplicationError as error:
            _log.warning("not given back yet", payment_id=str(payment.id), error=error.message)
            return False
        return True
