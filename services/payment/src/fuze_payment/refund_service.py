"""Money back: a refund of some of it, or a void of all of it."""

from datetime import timedelta
from uuid import UUID

from temporalio.exceptions import ApplicationError

from fuze_contracts.money import Money
from fuze_contracts.payment import (
    PAYMENT_TOKEN_CONFLICT,
    Refunded,
    RefundOutcome,
    RefundPayment,
    RefundRejected,
    Voided,
    VoidOutcome,
    VoidPayment,
)
from fuze_payment.charging import in_flight, unknown
from fuze_payment.provider import (
    ChargeAnswer,
    Held,
    NotFound,
    NotSent,
    PaymentProvider,
    RefundAnswer,
    Refused,
    Taken,
    TryLater,
    Unclear,
)
from fuze_payment.refund_repository import RefundRepository
from fuze_payment.repository import PaymentRepository
from fuze_payment.rules import (
    NextStep,
    Payment,
    PaymentState,
    ProviderPromise,
    Refund,
    RefundState,
    asks_the_same,
    next_step,
    step_to_void,
    step_when_not_found,
    void_refund_id,
)

_A_WHILE = timedelta(hours=1)


class Refunding:
    """The same machine as a charge's, with the refund's own key."""

    def __init__(
        self,
        payments: PaymentRepository,
        refunds: RefundRepository,
        provider: PaymentProvider,
        promise: ProviderPromise,
    ) -> None:
        self._payments = payments
        self._refunds = refunds
        self._provider = provider
        self._promise = promise

    async def refund(self, command: RefundPayment) -> RefundOutcome:
        """Return the one outcome of this refund.

        Raises:
            ApplicationError: `PAYMENT_IN_FLIGHT` and `PAYMENT_OUTCOME_UNKNOWN`, to be retried.

        """
        payment = await self._payments.find(command.payment_token)
        if payment is None or payment.order_id != command.order_id:
            return RefundRejected(refund_id=command.refund_id, code="not_charged")
        if payment.state is not PaymentState.CHARGED:
            if payment.state.is_settled:
                return RefundRejected(refund_id=command.refund_id, code="not_charged")
            raise unknown("whether the payment was taken is not known yet")
        if payment.currency != command.amount.currency or command.amount.amount_minor == 0:
            return RefundRejected(refund_id=command.refund_id, code="amount_invalid")
        asked = (payment, command.refund_id, command.amount.amount_minor, command.reason)
        return _outcome(await self._give(*asked) or await self._refunds.refuse(*asked))

    async def void(self, command: VoidPayment) -> VoidOutcome:
        """Make sure that nothing is kept under this token.

        Raises:
            ApplicationError: `PAYMENT_TOKEN_CONFLICT`, final; `PAYMENT_IN_FLIGHT` and
                `PAYMENT_OUTCOME_UNKNOWN`, to be retried.

        """
        payment = await self._payments.request_void(command)
        if not asks_the_same(payment, command.charge):
            raise ApplicationError(
                "the payment token or the order was charged before, for something else",
                type=PAYMENT_TOKEN_CONFLICT,
                non_retryable=True,
            )
        if not payment.state.is_settled:
            taken = await self._payments.take(payment)
            if taken is None:
                raise in_flight(payment.lease_left)
            payment = await self._let_go(taken)
        return await self.give_back_all(payment, command.reason)

    async def give_back_all(self, payment: Payment, reason: str) -> VoidOutcome:
        """Give back what is left of a charged payment; any other needs nothing.

        Raises:
            ApplicationError: `PAYMENT_IN_FLIGHT` and `PAYMENT_OUTCOME_UNKNOWN`, to be retried.

        """
        if payment.state is not PaymentState.CHARGED or payment.amount_minor == 0:
            return Voided()
        begun, refund_id = await self._void_begun(payment)
        if begun is None:
            # What is under way is not given back yet, and may be refused.
            for other in await self._refunds.open_of(payment.id):
                await self._give(payment, other.id, other.amount_minor, other.reason)
            payment = await self._payments.get(payment.id) or payment
        left = payment.amount_minor - payment.refunded_minor
        if left == 0 and begun is None:
            last = await self._refunds.last_made(payment.id)
            return _refunded(last, payment.amount) if last else Voided()
        amount_minor = begun.amount_minor if begun else left
        refund = await self._give(payment, refund_id, amount_minor, reason)
        if refund is None:
            raise unknown("another refund was quicker: less is left to give back")
        if refund.state is RefundState.REJECTED:
            # It may have the money tomorrow; until then somebody sees that this needs attention.
            raise unknown(f"the provider refuses the refund: {refund.rejection_code}", _A_WHILE)
        return _refunded(refund)

    async def _void_begun(self, payment: Payment) -> tuple[Refund | None, UUID]:
        """Return the refund that undoes this payment, as far as it is begun, and its id.

        A refusal is final for its id, so that each refused attempt is followed by another.
        """
        attempt = 0
        while True:
            refund_id = void_refund_id(payment.id, attempt)
            begun = await self._refunds.find(refund_id)
            if begun is None or begun.state is not RefundState.REJECTED:
                return begun, refund_id
            attempt += 1

    async def _let_go(self, payment: Payment) -> Payment:
        answer: ChargeAnswer | NotFound = await self._provider.find_charge(payment)
        if isinstance(answer, Held):
            voided = await self._provider.void(answer.reference)
            if isinstance(voided, Taken):
                return await self._payments.void(payment)
            answer = voided
        match answer:
            case Taken() | Refused():
                return await self._payments.settle(payment, answer)
            case NotFound() if step_to_void(payment, self._promise) is NextStep.GIVE_UP:
                return await self._payments.void(payment)
            case NotSent() | TryLater():
                await self._payments.give_back(payment)
                raise unknown("the provider asks for patience", answer.after)
            case _:
                await self._payments.give_back(payment)
                raise unknown("the charge may still land")

    async def _give(
        self, payment: Payment, refund_id: UUID, amount_minor: int, reason: str
    ) -> Refund | None:
        """Return the settled refund; None where not that much is left to give back."""
        refund = await self._refunds.claim(payment, refund_id, amount_minor, reason)
        if refund is None or refund.state.is_settled:
            return refund
        taken = await self._refunds.take(refund)
        if taken is None:
            raise in_flight(refund.lease_left)
        return await self._find_out(taken)

    async def _find_out(self, refund: Refund) -> Refund:
        if next_step(refund.state) is NextStep.ASK:
            return await self._conclude(refund, await self._ask(refund))
        answer = await self._provider.find_refund(refund)
        if not isinstance(answer, NotFound):
            return await self._conclude(refund, answer)
        match step_when_not_found(refund, self._promise):
            case NextStep.ASK | NextStep.GIVE_UP:
                # Nothing lands after the settle window, so that asking again is safe then, too.
                return await self._conclude(refund, await self._ask(refund))
            case _:
                return await self._conclude(refund, Unclear(why="it may still land"))

    async def _ask(self, refund: Refund) -> RefundAnswer:
        if not await self._refunds.mark_submitted(refund):
            raise in_flight(refund.lease_left)
        return await self._provider.refund(refund)

    async def _conclude(self, refund: Refund, answer: RefundAnswer) -> Refund:
        match answer:
            case Taken() | Refused():
                return await self._refunds.settle(refund, answer)
            case NotSent():
                await self._refunds.give_back_unsent(refund)
                raise unknown("the provider could not be asked", answer.after)
            case TryLater():
                await self._refunds.give_back(refund)
                raise unknown("the provider asks for patience", answer.after)
            case Unclear():
                await self._refunds.give_back(refund, RefundState.UNKNOWN)
                raise unknown(answer.why)


def _outcome(refund: Refund) -> RefundOutcome:
    if refund.state is RefundState.REJECTED:
        return RefundRejected(refund_id=refund.id, code=refund.rejection_code or "rejected")
    return _refunded(refund)


def _refunded(refund: Refund, amount: Money | None = None) -> Refunded:
    return Refunded(
        refund_id=refund.id,
        amount=amount or refund.amount,
        provider_reference=refund.provider_reference,
    )
