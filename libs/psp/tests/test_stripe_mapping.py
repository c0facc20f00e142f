"""The result that each of Stripe's documented responses means, and amounts in Stripe's units."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from fake_stripe import API_KEY, error

from fuze_contracts.money import Money
from fuze_psp.provider import (
    ChargeLookup,
    ChargeRequest,
    Indeterminate,
    NotAttempted,
    NotFound,
    ProviderRecords,
    RefundRequest,
    Rejected,
    RetryLater,
)
from fuze_psp.registry import explain_unsupported_amount
from fuze_psp.stripe.amounts import from_stripe, to_stripe
from fuze_psp.stripe.client import connect
from fuze_psp.stripe.provider import StripeProvider

pytestmark = pytest.mark.filterwarnings(
    # Stripe's package passes the body to httpx by a deprecated name.
    "ignore:Use 'content=:DeprecationWarning"
)

_NOW = datetime.now(UTC)


def _charge(currency: str = "USD") -> ChargeRequest:
    order_id = uuid4()
    return ChargeRequest(
        payment_id=uuid4(),
        order_id=order_id,
        payment_token=f"{order_id}:1",
        amount=Money(amount_minor=1005, currency=currency),
        payment_method="pm_card_visa",
    )


def _lookup(reference: str | None = None) -> ChargeLookup:
    return ChargeLookup(payment_id=uuid4(), reference=reference, not_before=_NOW, not_after=_NOW)


def _refund(currency: str = "USD") -> RefundRequest:
    return RefundRequest(
        refund_id=uuid4(),
        payment_id=uuid4(),
        charge_reference="pi_1",
        amount=Money(amount_minor=1005, currency=currency),
    )


def _intent(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON
    intent = {"id": "pi_1", "object": "payment_intent", "amount": 1005, "currency": "usd"}
    return {**intent, "created": 1, "metadata": {}, "status": "succeeded", **changes}


@pytest.fixture
async def provider() -> AsyncIterator["CannedStripe"]:
    canned = CannedStripe()
    async with connect(API_KEY, await canned.start(), timedelta(seconds=1)) as client:
        canned.provider = StripeProvider(client, timedelta(seconds=1))
        yield canned
    await canned.stop()


class CannedStripe:
    """A server that knows every payment method, and returns one response to everything else."""

    provider: StripeProvider

    def __init__(self) -> None:
        application = web.Application()
        application.router.add_get("/v1/payment_methods/{id}", self._method)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        self._next = web.Response()

    async def start(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    def returning(self, answer: web.Response) -> StripeProvider:
        self._next = answer
        return self.provider

    async def _method(self, _: web.Request) -> web.Response:
        return web.json_response({"id": "pm_1", "object": "payment_method", "customer": None})

    async def _answer(self, _: web.Request) -> web.Response:
        template = self._next  # aiohttp can send a response only once
        return web.Response(status=template.status, body=template.body, headers=template.headers)


def _card_error(**fields: Any) -> web.Response:  # noqa: ANN401 - as JSON
    return error(402, type="card_error", code="card_declined", **fields)


def _retry_after_7(status: int, code: str) -> web.Response:
    answer = error(status, type="invalid_request_error", code=code)
    answer.headers["Retry-After"] = "7"
    return answer


_INSUFFICIENT = {"code": "card_declined", "decline_code": "insufficient_funds"}


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (_card_error(decline_code="fraudulent"), Rejected(code="fraudulent")),
        (_card_error(), Rejected(code="card_declined")),
        (
            _card_error(
                payment_intent=_intent(
                    status="requires_payment_method", last_payment_error=_INSUFFICIENT
                )
            ),
            Rejected(code="insufficient_funds", reference="pi_1"),
        ),
        (
            error(400, type="invalid_request_error", code="amount_too_small"),
            Rejected(code="amount_too_small"),
        ),
        (_retry_after_7(429, "rate_limit"), NotAttempted(retry_after=timedelta(seconds=7))),
        (_retry_after_7(400, "rate_limit"), NotAttempted(retry_after=timedelta(seconds=7))),
        (_retry_after_7(429, "lock_timeout"), RetryLater(retry_after=timedelta(seconds=7))),
        (
            _retry_after_7(409, "idempotency_key_in_use"),
            RetryLater(retry_after=timedelta(seconds=7)),
        ),
        (
            error(401, type="invalid_request_error", message="Invalid API Key provided"),
            NotAttempted(retry_after=timedelta(seconds=30)),
        ),
        (
            error(403, type="invalid_request_error", code="more_permissions_required"),
            NotAttempted(retry_after=timedelta(seconds=30)),
        ),
    ],
)
async def test_a_definite_response_is_a_definite_result(
    provider: CannedStripe, response: web.Response, result: object
) -> None:
    assert await provider.returning(response).charge(_charge()) == result


@pytest.mark.parametrize(
    "response",
    [
        error(400, type="idempotency_error", message="Keys can only be used with …"),
        error(500, type="api_error"),
        error(503, type="api_error"),
        web.Response(status=402, text="<html>pay the proxy</html>"),
        web.Response(status=404, text="no such page"),
        web.Response(text="[]", content_type="application/json"),
        web.Response(text="null", content_type="application/json"),
        web.Response(text="{", content_type="application/json"),
        web.json_response({"id": "pi_1", "object": "payment_intent"}),
        web.json_response(_intent(status="a status of next year")),
        web.json_response(_intent(status="requires_capture")),
    ],
)
async def test_any_other_response_is_indeterminate(
    provider: CannedStripe, response: web.Response
) -> None:
    stripe = provider.returning(response)

    assert isinstance(await stripe.charge(_charge()), Indeterminate)
    assert isinstance(await stripe.find_charge(_lookup()), Indeterminate)
    assert isinstance(await stripe.find_charge(_lookup("pi_1")), Indeterminate)
    assert isinstance(await stripe.refund(_refund()), Indeterminate)
    assert isinstance(await stripe.find_refund(_refund()), Indeterminate)
    assert isinstance(await stripe.void("pi_1"), Indeterminate)
    assert isinstance(await stripe.list_since(datetime.now(UTC)), Indeterminate)


async def test_a_rejected_lookup_is_indeterminate(provider: CannedStripe) -> None:
    stripe = provider.returning(error(404, type="invalid_request_error", code="resource_missing"))

    assert await stripe.find_charge(_lookup()) == Indeterminate(reason="resource_missing")
    assert await stripe.find_refund(_refund()) == Indeterminate(reason="resource_missing")
    assert await stripe.void("pi_1") == Indeterminate(reason="resource_missing")


async def test_of_two_intents_of_one_payment_the_succeeded_one_counts(
    provider: CannedStripe,
) -> None:
    lookup = _lookup()
    metadata = {"payment_id": str(lookup.payment_id)}
    canceled = _intent(id="pi_2", status="canceled", metadata=metadata)
    page = {"object": "list", "data": [canceled, _intent(metadata=metadata)], "has_more": False}
    answer = await provider.returning(web.json_response(page)).find_charge(lookup)

    assert answer.model_dump() == {"reference": "pi_1"}


async def test_an_intent_without_our_id_is_not_found(provider: CannedStripe) -> None:
    page = {"object": "list", "data": [_intent(metadata={"payment_id": "x"})], "has_more": False}

    assert await provider.returning(web.json_response(page)).find_charge(_lookup()) == NotFound()


@pytest.mark.parametrize(
    ("status", "counts"),
    [("succeeded", True), ("canceled", False), ("processing", False), ("pending", False)],
)
async def test_only_what_succeeded_counts_in_the_records(
    provider: CannedStripe, status: str, *, counts: bool
) -> None:
    page = {"object": "list", "data": [_intent(status=status)], "has_more": False}

    records = await provider.returning(web.json_response(page)).list_since(datetime.now(UTC))

    assert isinstance(records, ProviderRecords)
    assert [one.succeeded for one in records.charges] == [counts]
    assert len(records.refunds) == counts


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_failed_refund_is_rejected(provider: CannedStripe, status: str) -> None:
    refund = _intent(id="re_1", status=status, failure_reason="expired_or_canceled_card")

    answer = await provider.returning(web.json_response(refund)).refund(_refund())

    assert answer == Rejected(code="expired_or_canceled_card", reference="re_1")


@pytest.mark.parametrize(
    ("minor", "currency", "there"),
    [
        (1999, "USD", 1999),
        (500, "JPY", 500),
        (5, "ISK", 500),
        (500, "MGA", 5),
        (501, "MGA", None),
        (5120, "KWD", 5120),
        (5124, "KWD", None),
        (5, "UGX", None),
        (1000, "IQD", None),
    ],
)
def test_an_amount_is_converted_to_stripes_units_or_not_supported(
    minor: int, currency: str, there: int | None
) -> None:
    assert to_stripe(minor, currency) == there
    if there is not None:
        assert from_stripe(there, currency.lower()) == minor


@pytest.mark.parametrize(
    ("minor", "currency", "explained"),
    [
        (3800, "UGX", "Stripe cannot charge UGX; use another currency"),
        (18605, "KWD", "Stripe charges KWD in steps of 10 minor units; round the total"),
        (501, "MGA", "Stripe charges MGA in steps of 100 minor units; round the total"),
        (18600, "KWD", None),
        (5000, "ISK", None),
        (0, "UGX", None),
    ],
)
def test_an_unsupported_amount_is_explained_for_stripe_only(
    minor: int, currency: str, explained: str | None
) -> None:
    amount = Money(amount_minor=minor, currency=currency)

    assert explain_unsupported_amount("stripe", amount) == explained
    assert explain_unsupported_amount("sandbox", amount) is None


async def test_an_unsupported_amount_is_rejected_without_a_request(
    provider: CannedStripe,
) -> None:
    rejected = Rejected(code="amount_not_supported")

    assert await provider.provider.charge(_charge("KWD")) == rejected
    assert await provider.provider.refund(_refund("KWD")) == rejected
