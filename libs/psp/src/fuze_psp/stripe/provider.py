"""Stripe, through its official package: payment intents, confirmed while the customer is away."""

from datetime import UTC, datetime, timedelta

import stripe
from stripe.params import PaymentIntentCreateParams, RefundCreateParams

from fuze_payment.provider import (
    ChargeAnswer,
    NotFound,
    NotSent,
    PaymentProvider,
    ProviderBooks,
    RefundAnswer,
    Refused,
    Taken,
    TryLater,
    Unclear,
)
from fuze_payment.provider.stripe_amounts import to_stripe
from fuze_payment.provider.stripe_answers import (
    Intent,
    StripeRefund,
    answer_of_error,
    answer_of_intent,
    answer_of_refund,
    intent_in,
    listed_charge,
    listed_refund,
    read,
)
from fuze_payment.provider.stripe_client import Failure, StripeQuestions
from fuze_payment.rules import Payment, Refund

_CLOCKS_APART = timedelta(minutes=5)
"""How far Stripe's clock and ours may differ."""


class StripeProvider(PaymentProvider):
    """Speaks to Stripe through `client`; the reference of a charge is its intent's id.

    `timeout` is what one question may take, in seconds, with all the requests that it needs; a
    request that was sent lands within `settle_window`.
    """

    def __init__(
        self, client: stripe.StripeClient, timeout: float, settle_window: timedelta
    ) -> None:
        self._questions = StripeQuestions(client, timeout)
        self._stripe = client.v1
        self._settle_window = settle_window

    async def charge(self, payment: Payment) -> ChargeAnswer:
        """Take the payment's amount, with its id as the idempotency key."""
        until = self._questions.deadline()
        amount = to_stripe(payment.amount_minor, payment.currency)
        if amount is None:
            return Refused(code="amount_not_supported")
        if payment.payment_method is None:
            return Refused(code="payment_method_missing")
        owner = await self._owner(payment.payment_method, until)
        if isinstance(owner, NotSent):
            return owner
        params: PaymentIntentCreateParams = {
            "amount": amount,
            "currency": payment.currency.lower(),
            "payment_method": payment.payment_method,
            "confirm": True,
            "off_session": True,
            # Nobody is there to be sent to another page.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"payment_id": str(payment.id), "order_id": str(payment.order_id)},
        }
        if owner:
            params["customer"] = owner
        answer = await self._questions.ask(
            self._stripe.payment_intents.create_async(params, {"idempotency_key": str(payment.id)}),
            until,
        )
        if isinstance(answer, stripe.CardError | stripe.InvalidRequestError):
            refused = intent_in(answer)
            # What a refusal shows of its intent says more than the refusal.
            return answer_of_error(answer) if refused is None else await self._say(refused, until)
        if not isinstance(answer, dict):
            return _failed(answer)
        intent = read(Intent, answer)
        return intent if isinstance(intent, Unclear) else await self._say(intent, until)

    async def find_charge(self, payment: Payment) -> ChargeAnswer | NotFound:
        """Look the payment up by its id, whatever Stripe remembers of the key.

        Stripe's search finds metadata, but late: what was written a moment ago may be missing. Its
        lists are up to date and know no metadata; so we read the list of the time in which the
        request can have landed, and look for our id.
        """
        until = self._questions.deadline()
        if payment.provider_reference:
            answer = await self._questions.ask(
                self._stripe.payment_intents.retrieve_async(payment.provider_reference), until
            )
            if not isinstance(answer, dict):
                return _unseen(answer)
            intent = read(Intent, answer)
            return intent if isinstance(intent, Unclear) else await self._say(intent, until)
        intents = await self._questions.intents(*self._when_it_landed(payment), until)
        if not isinstance(intents, list):
            return _unseen(intents)
        ours = [one for one in intents if one.metadata.payment_id == payment.id]
        if not ours:
            return NotFound()
        # More than one only if a key was forgotten; the one that has the money speaks.
        return await self._say(min(ours, key=_rank), until)

    async def void(self, reference: str) -> Taken | NotSent | TryLater | Unclear:
        """Let go of a held charge; `Taken` when that is done."""
        canceled = await self._cancel(reference, self._questions.deadline())
        return Taken(reference=reference) if isinstance(canceled, Intent) else canceled

    async def refund(self, refund: Refund) -> RefundAnswer:
        """Give the refund's amount back, with its id as the idempotency key."""
        amount = to_stripe(refund.amount_minor, refund.currency)
        if amount is None:
            return Refused(code="amount_not_supported")
        params: RefundCreateParams = {
            "payment_intent": refund.charge_reference or "",
            "amount": amount,
            "metadata": {"refund_id": str(refund.id), "payment_id": str(refund.payment_id)},
        }
        answer = await self._questions.ask(
            self._stripe.refunds.create_async(params, {"idempotency_key": str(refund.id)}),
            self._questions.deadline(),
        )
        if not isinstance(answer, dict):
            return _failed(answer)
        made = read(StripeRefund, answer)
        return made if isinstance(made, Unclear) else answer_of_refund(made)

    async def find_refund(self, refund: Refund) -> RefundAnswer | NotFound:
        """Look the refund up by its id, among its charge's."""
        refunds = await self._questions.refunds(
            {"payment_intent": refund.charge_reference or ""}, self._questions.deadline()
        )
        if not isinstance(refunds, list):
            return _unseen(refunds)
        ours = (one for one in refunds if one.metadata.refund_id == refund.id)
        found = min(ours, key=lambda one: one.status in {"failed", "canceled"}, default=None)
        return NotFound() if found is None else answer_of_refund(found)

    async def books_since(self, since: datetime) -> ProviderBooks | NotSent | TryLater | Unclear:
        """Return everything that Stripe has written since then (UTC).

        Refunds that failed, or may still fail, are not in the books. The time limit is for each
        page: the books of days are read while nobody waits.
        """
        intents = await self._questions.intents(since, None, None)
        if not isinstance(intents, list):
            return _unseen(intents)

        refunds = await self._questions.refunds({"created": {"gte": int(since.timestamp())}}, None)
        if not isinstance(refunds, list):
            return _unseen(refunds)
        return ProviderBooks(
            charges=tuple(listed_charge(one) for one in intents),
            refunds=tuple(listed_refund(one) for one in refunds if one.status == "succeeded"),
        )

    async def _say(self, intent: Intent, until: float) -> ChargeAnswer:
        """Say what an intent means; one that could still be made is canceled first."""
        if not intent.is_open:
            return answer_of_intent(intent)
        canceled = await self._cancel(intent.id, until)
        if isinstance(canceled, Intent):
            return Refused(code=intent.rejection_code, reference=intent.id)
        # Not `NotSent`, whatever the cancellation met: the charge itself was sent.
        return TryLater(after=canceled.after) if isinstance(canceled, NotSent) else canceled

    async def _cancel(self, reference: str, until: float) -> Intent | NotSent | TryLater | Unclear:
        """Return the canceled intent; `Unclear` where it was decided meanwhile."""
        answer = await self._questions.ask(
            self._stripe.payment_intents.cancel_async(reference), until
        )
        if isinstance(answer, dict):
            intent = read(Intent, answer)
        else:
            shown = intent_in(answer) if isinstance(answer, stripe.InvalidRequestError) else None
            if shown is None:
                return _unseen(answer)
            intent = shown
        if isinstance(intent, Intent) and intent.status != "canceled":
            return Unclear(why=f"not canceled: {intent.status}")
        return intent

    async def _owner(self, method: str, until: float) -> str | NotSent | None:
        """Return the customer whom a method is attached to: Stripe takes it only with them."""
        answer = await self._questions.ask(
            self._stripe.payment_methods.retrieve_async(method), until
        )
        if isinstance(answer, dict):
            customer = answer.get("customer")
            return customer if isinstance(customer, str) else None
        failure = _failed(answer)
        match failure:
            case Refused():
                # There is no such method: the charge will say so.
                return None
            case NotSent() | TryLater():
                return NotSent(after=failure.after)
            case Unclear():
                return NotSent(after=timedelta(seconds=1))

    def _when_it_landed(self, payment: Payment) -> tuple[datetime, datetime | None]:
        if payment.key_age is None or payment.since_last_submitted is None:
            return payment.created_at - _CLOCKS_APART, None
        now = datetime.now(UTC)
        last = now - payment.since_last_submitted + self._settle_window
        return now - payment.key_age - _CLOCKS_APART, last + _CLOCKS_APART


def _failed(failure: Failure) -> Refused | NotSent | TryLater | Unclear:
    return failure if isinstance(failure, Unclear) else answer_of_error(failure)


def _unseen(failure: Failure) -> NotSent | TryLater | Unclear:
    """Say what it means that we could not look: a refused look says nothing of the money."""
    answer = _failed(failure)
    return Unclear(why=answer.code) if isinstance(answer, Refused) else answer


def _rank(intent: Intent) -> int:
    order = ["succeeded", "processing", "requires_action", "requires_confirmation"]
    return order.index(intent.status) if intent.status in order else len(order)
