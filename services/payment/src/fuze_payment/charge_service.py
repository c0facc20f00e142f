"""A charge, from its claim to its end; every line may be the last one that a process runs."""

from datetime import timedelta
from uuid import UUID

from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import (
    PAYMENT_IN_FLIGHT,
    PAYMENT_OUTCOME_UNKNOWN,
    PAYMENT_TOKEN_CONFLICT,
    PAYMENT_UNDER_REVIEW,
    ChargePayment,
)
from fuze_payment.provider import (
    ChargeAnswer,
    Held,
    NotFound,
    NotSent,
    PaymentProvider,
    Refused,
    Taken,
    TryLater,
    Unclear,
)
from fuze_payment.repository import PaymentRepository
from fuze_payment.rules import (
    NextStep,
    Payment,
    PaymentState,
    ProviderPromise,
    asks_the_same,
    next_step,
    step_when_not_found,
)

_SHORTLY = timedelta(seconds=1)


class Charging:
    """Claim the token, take the lease, mark sent, ask, settle.

    Whatever is cut off leaves a row that says what may have happened, and the next attempt finds
    out: it looks the payment up before it asks again, and asks with the same key.
    """

    def __init__(
        self,
        repository: PaymentRepository,
        provider: PaymentProvider,
        promise: ProviderPromise,
        *,
        review_interval: timedelta,
    ) -> None:
        self._repository = repository
        self._provider = provider
        self._promise = promise
        self._review_interval = review_interval

    async def charge(self, command: ChargePayment) -> Payment:
        """Return the settled payment of this token.

        Raises:
            ApplicationError: `PAYMENT_TOKEN_CONFLICT`, final; `PAYMENT_IN_FLIGHT`,
                `PAYMENT_OUTCOME_UNKNOWN` and `PAYMENT_UNDER_REVIEW`, to be retried.

        """
        payment = await self._repository.claim(command)
        if payment is None or not asks_the_same(payment, command):
            raise ApplicationError(
                "the payment token or the order was charged before, for something else",
                type=PAYMENT_TOKEN_CONFLICT,
                non_retryable=True,
            )
        if not payment.state.is_settled:
            taken = await self._repository.take(payment)
            payment = await self._find_out(taken) if taken else await self._read(command)
        return payment

    async def refresh(self, identity: UUID) -> Payment | None:
        """Ask the provider about a payment that it reviews, and settle what it says by now.

        Anything but a held payment is left alone: whoever asked for it is still at it.

        Raises:
            ApplicationError: `PAYMENT_IN_FLIGHT`, `PAYMENT_OUTCOME_UNKNOWN` and
            `PAYMENT_UNDER_REVIEW`, to
                be retried.

        """
        payment = await self._repository.get(identity)
        if payment is None or payment.state is not PaymentState.UNDER_REVIEW:
            return payment
        taken = await self._repository.take(payment)
        if taken is None:
            raise in_flight(payment.lease_left)
        return await self._find_out(taken)

    async def _read(self, command: ChargePayment) -> Payment:
        """Somebody else has the lease, or has just settled it."""
        payment = await self._repository.find(command.payment_token)
        if payment is None or not payment.state.is_settled:
            raise in_flight(payment.lease_left if payment else _SHORTLY)
        return payment

    async def _find_out(self, payment: Payment) -> Payment:
        if payment.amount_minor == 0:
            return await self._repository.settle(payment, None)
        if next_step(payment.state) is NextStep.ASK:
            return await self._conclude(payment, await self._ask(payment))
        answer = await self._provider.find_charge(payment)
        if not isinstance(answer, NotFound):
            return await self._conclude(payment, answer)
        match step_when_not_found(payment, self._promise):
            case NextStep.ASK:
                return await self._conclude(payment, await self._ask(payment))
            case NextStep.GIVE_UP:
                # What lands in spite of this is given back by whoever finds it.
                return await self._repository.void(payment)
            case _:
                return await self._conclude(payment, Unclear(why="it may still land"))

    async def _ask(self, payment: Payment) -> ChargeAnswer:
        if not await self._repository.mark_submitted(payment):
            raise in_flight(_SHORTLY)
        return await self._provider.charge(payment)

    async def _conclude(self, payment: Payment, answer: ChargeAnswer) -> Payment:
        match answer:
            case Taken() | Refused():
                return await self._repository.settle(payment, answer)
            case Held():
                await self._repository.hold(payment, answer)
                raise ApplicationError(
                    "the provider reviews the payment",
                    type=PAYMENT_UNDER_REVIEW,
                    next_retry_delay=self._review_interval,
                )
            case NotSent():
                await self._repository.give_back_unsent(payment)
                raise unknown("the provider could not be asked", answer.after)
            case TryLater():
                await self._repository.give_back(payment)
                raise unknown("the provider asks for patience", answer.after)
            case Unclear():
                # A held payment stays held: we only failed to look at it.
                held = payment.state is PaymentState.UNDER_REVIEW
                await self._repository.give_back(payment, None if held else PaymentState.UNKNOWN)
                raise unknown(answer.why)


def in_flight(for_another: timedelta) -> ApplicationError:
    """Return the error of one who comes while somebody else asks."""
    return ApplicationError(
        "another attempt is asking the provider",
        type=PAYMENT_IN_FLIGHT,
        next_retry_delay=max(for_another, _SHORTLY),
    )


def unknown(why: str, after: timedelta | None = None) -> ApplicationError:
    """Return the error of one who could not find out."""
    return ApplicationError(why, type=PAYMENT_OUTCOME_UNKNOWN, next_retry_delay=after)
