"""The payment service's activities."""

from temporalio import activity
from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import (
    PAYMENT_TOKEN_CONFLICT,
    Charged,
    ChargeOutcome,
    ChargePayment,
    Declined,
    PaymentActivities,
)
from fuze_payment.provider import PaymentProvider, ProviderAnswer
from fuze_payment.repository import PaymentRepository
from fuze_payment.rules import Payment, asks_the_same


class Payments(PaymentActivities):
    """Claim the token, ask the provider under its key, settle: each may be cut and repeated."""

    def __init__(self, repository: PaymentRepository, provider: PaymentProvider) -> None:
        self._repository = repository
        self._provider = provider

    @activity.defn
    async def payment_charged(self, command: ChargePayment) -> ChargeOutcome:
        """Return the one outcome of this token, charging the provider if nobody has yet.

        Raises:
            ApplicationError: `PAYMENT_TOKEN_CONFLICT`, final.

        """
        payment = await self._repository.claim(command)
        if payment is None or not asks_the_same(payment, command):
            raise ApplicationError(
                "the payment token or the order was charged before, for something else",
                type=PAYMENT_TOKEN_CONFLICT,
                non_retryable=True,
            )
        if payment.state != "claimed":
            return _outcome(payment, payment.provider_reference, payment.decline_code)
        answer = await self._ask(payment, command)
        reference, code = (answer.reference, answer.decline_code) if answer else (None, None)
        await self._repository.settle(payment.id, provider_reference=reference, decline_code=code)
        outcome = _outcome(payment, reference, code)
        activity.logger.info("payment settled", extra={"outcome": outcome.outcome})
        return outcome

    async def _ask(self, payment: Payment, command: ChargePayment) -> ProviderAnswer | None:
        if command.amount.amount_minor == 0:
            return None  # a free order is charged without asking anyone
        return await self._provider.charge(payment.id, command)


def _outcome(payment: Payment, reference: str | None, decline_code: str | None) -> ChargeOutcome:
    if decline_code:
        return Declined(payment_id=payment.id, code=decline_code)
    return Charged(payment_id=payment.id, provider_reference=reference)
