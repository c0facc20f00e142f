"""Stripe as a payment provider, through its official package."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import stripe
from stripe.params import PaymentIntentCreateParams, RefundCreateParams

from fuze_psp.provider import (
    ChargeLookup,
    ChargeRequest,
    Indeterminate,
    NotAttempted,
    NotFound,
    OperationResult,
    PaymentProvider,
    ProviderRecords,
    RefundRequest,
    Rejected,
    RetryLater,
    Succeeded,
    Unavailable,
)
from fuze_psp.stripe.amounts import to_stripe
from fuze_psp.stripe.client import Failure, StripeApi, connect
from fuze_psp.stripe.mapping import (
    Intent,
    StripeRefund,
    embedded_intent,
    map_error,
    map_intent,
    map_listed_intent,
    map_listed_refund,
    map_refund,
    parse,
)
from fuze_psp.stripe.settings import StripeSettings

_CLOCK_SKEW = timedelta(minutes=5)
"""How far Stripe's clock and the database's may differ."""


@asynccontextmanager
async def open_stripe(
    settings: StripeSettings, request_timeout: timedelta
) -> AsyncIterator[PaymentProvider]:
    """Connect to Stripe with the key of the settings."""
    assert settings.stripe_api_key, "settings require it"  # noqa: S101 - narrows the type
    key, base = settings.stripe_api_key.get_secret_value(), settings.stripe_api_base
    async with connect(key, str(base) if base else None, request_timeout) as client:
        yield StripeProvider(client, request_timeout)


class StripeProvider(PaymentProvider):
    """Stripe through `client`; the reference of a charge is its PaymentIntent's id.

    `timeout` limits one operation, including every request that it needs.
    """

    def __init__(self, client: stripe.StripeClient, timeout: timedelta) -> None:
        self._api = StripeApi(client, timeout)
        self._stripe = client.v1

    async def charge(self, request: ChargeRequest) -> OperationResult:
        """Charge the amount, with the payment's id as the idempotency key."""
        deadline = self._api.deadline()
        amount = to_stripe(request.amount.amount_minor, request.amount.currency)
        if amount is None:
            return Rejected(code="amount_not_supported")
        if request.payment_method is None:
            return Rejected(code="payment_method_missing")
        customer = await self._get_customer(request.payment_method, deadline)
        if isinstance(customer, NotAttempted):
            return customer
        params: PaymentIntentCreateParams = {
            "amount": amount,
            "currency": request.amount.currency.lower(),
            "payment_method": request.payment_method,
            "confirm": True,
            "off_session": True,
            # The customer is absent and cannot be redirected.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {"payment_id": str(request.payment_id), "order_id": str(request.order_id)},
        }
        if customer:
            params["customer"] = customer
        key = str(request.payment_id)
        response = await self._api.call(
            self._stripe.payment_intents.create_async(params, {"idempotency_key": key}), deadline
        )
        if isinstance(response, stripe.CardError | stripe.InvalidRequestError):
            embedded = embedded_intent(response)
            if embedded:  # it says more than the error
                return await self._interpret_intent(embedded, deadline)
        if not isinstance(response, dict):
            return _map_failure(response)
        return await self._interpret_response(response, deadline)

    async def find_charge(self, lookup: ChargeLookup) -> OperationResult | NotFound:
        """Look a charge up by the payment's id, independently of the idempotency key.

        Stripe's search finds metadata, but with a delay: it may miss what was just written. Its
        lists are up to date but cannot be filtered by metadata. So this reads the list of the
        period in which the request can have taken effect, and looks for our id.
        """
        deadline = self._api.deadline()
        if lookup.reference:
            response = await self._api.call(
                self._stripe.payment_intents.retrieve_async(lookup.reference), deadline
            )
            if not isinstance(response, dict):
                return _lookup_failure(response)
            return await self._interpret_response(response, deadline)
        intents = await self._api.list_intents(*_search_window(lookup), deadline)
        if not isinstance(intents, list):
            return _lookup_failure(intents)
        matching = [intent for intent in intents if intent.metadata.payment_id == lookup.payment_id]
        if not matching:
            return NotFound()
        # There is more than one only if a key was forgotten; prefer the one that has the money.
        return await self._interpret_intent(min(matching, key=_rank), deadline)

    async def void(self, reference: str) -> Succeeded | Unavailable:
        """Cancel a charge that is under review."""
        canceled = await self._cancel(reference, self._api.deadline())
        return Succeeded(reference=reference) if isinstance(canceled, Intent) else canceled

    async def refund(self, request: RefundRequest) -> OperationResult:
        """Refund the amount, with the refund's id as the idempotency key."""
        amount = to_stripe(request.amount.amount_minor, request.amount.currency)
        if amount is None:
            return Rejected(code="amount_not_supported")
        params: RefundCreateParams = {
            "payment_intent": request.charge_reference or "",
            "amount": amount,
            "metadata": {
                "refund_id": str(request.refund_id),
                "payment_id": str(request.payment_id),
            },
        }
        key = str(request.refund_id)
        response = await self._api.call(
            self._stripe.refunds.create_async(params, {"idempotency_key": key}),
            self._api.deadline(),
        )
        if not isinstance(response, dict):
            return _map_failure(response)
        refund = parse(StripeRefund, response)
        return refund if isinstance(refund, Indeterminate) else map_refund(refund)

    async def find_refund(self, request: RefundRequest) -> OperationResult | NotFound:
        """Look a refund up by its id, among those of its charge."""
        refunds = await self._api.list_refunds(
            {"payment_intent": request.charge_reference or ""}, self._api.deadline()
        )
        if not isinstance(refunds, list):
            return _lookup_failure(refunds)
        matching = (one for one in refunds if one.metadata.refund_id == request.refund_id)
        found = min(matching, key=lambda one: one.status in {"failed", "canceled"}, default=None)
        return NotFound() if found is None else map_refund(found)

    async def list_since(self, since: datetime) -> ProviderRecords | Unavailable:
        """Return every charge and refund that Stripe has recorded since then (UTC).

        Refunds that failed, or may still fail, are left out. The time limit is for each page:
        no caller waits while the records of several days are read.
        """
        intents = await self._api.list_intents(since, None, None)
        if not isinstance(intents, list):
            return _lookup_failure(intents)
        refunds = await self._api.list_refunds({"created": {"gte": int(since.timestamp())}}, None)
        if not isinstance(refunds, list):
            return _lookup_failure(refunds)
        return ProviderRecords(
            charges=tuple(map_listed_intent(one) for one in intents),
            refunds=tuple(map_listed_refund(one) for one in refunds if one.status == "succeeded"),
        )

    async def _interpret_response(
        self, response: dict[str, object], deadline: float
    ) -> OperationResult:
        intent = parse(Intent, response)
        if isinstance(intent, Indeterminate):
            return intent
        return await self._interpret_intent(intent, deadline)

    async def _interpret_intent(self, intent: Intent, deadline: float) -> OperationResult:
        """Return the result of an intent; one that could still be confirmed is canceled."""
        if not intent.is_open:
            return map_intent(intent)
        canceled = await self._cancel(intent.id, deadline)
        if isinstance(canceled, Intent):
            return Rejected(code=intent.rejection_code, reference=intent.id)
        # Never `NotAttempted`, whatever the cancellation met: the charge itself was sent.
        if isinstance(canceled, NotAttempted):
            return RetryLater(retry_after=canceled.retry_after)
        return canceled

    async def _cancel(self, reference: str, deadline: float) -> Intent | Unavailable:
        """Return the canceled intent; `Indeterminate` where it was decided meanwhile."""
        response = await self._api.call(
            self._stripe.payment_intents.cancel_async(reference), deadline
        )
        if isinstance(response, dict):
            intent = parse(Intent, response)
        else:
            embedded = None
            if isinstance(response, stripe.InvalidRequestError):
                embedded = embedded_intent(response)
            if embedded is None:
                return _lookup_failure(response)
            intent = embedded
        if isinstance(intent, Intent) and intent.status != "canceled":
            return Indeterminate(reason=f"not canceled: the intent's status is {intent.status}")
        return intent

    async def _get_customer(self, method: str, deadline: float) -> str | NotAttempted | None:
        """Return the customer that the method is attached to: Stripe accepts it only with them."""
        response = await self._api.call(
            self._stripe.payment_methods.retrieve_async(method), deadline
        )
        if isinstance(response, dict):
            customer = response.get("customer")
            return customer if isinstance(customer, str) else None
        failure = _map_failure(response)
        match failure:
            case Rejected():
                # The method does not exist: the charge's result will say so.
                return None
            case NotAttempted() | RetryLater():
                return NotAttempted(retry_after=failure.retry_after)
            case Indeterminate():
                return NotAttempted(retry_after=timedelta(seconds=1))


def _search_window(lookup: ChargeLookup) -> tuple[datetime, datetime | None]:
    end = lookup.not_after + _CLOCK_SKEW if lookup.not_after else None
    return lookup.not_before - _CLOCK_SKEW, end


def _map_failure(failure: Failure) -> Rejected | Unavailable:
    return failure if isinstance(failure, Indeterminate) else map_error(failure)


def _lookup_failure(failure: Failure) -> Unavailable:
    """Map a failed lookup: that Stripe rejects it says nothing about the money."""
    result = _map_failure(failure)
    return Indeterminate(reason=result.code) if isinstance(result, Rejected) else result


def _rank(intent: Intent) -> int:
    order = ["succeeded", "processing", "requires_action", "requires_confirmation"]
    return order.index(intent.status) if intent.status in order else len(order)
