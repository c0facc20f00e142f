"""What Stripe's answers mean, by the bodies that it documents; and how it writes amounts."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from pydantic import ValidationError
from stripe_stand_in import KEY, error

from fuze_payment.provider import NotFound, NotSent, ProviderBooks, Refused, TryLater, Unclear
from fuze_payment.provider.stripe import StripeProvider
from fuze_payment.provider.stripe_amounts import from_stripe, to_stripe
from fuze_payment.provider.stripe_client import connect
from fuze_payment.rules import Payment, PaymentState, Refund, RefundState
from fuze_payment.settings import PaymentSettings

pytestmark = pytest.mark.filterwarnings(
    # Stripe's package gives httpx its body under an old name.
    "ignore:Use 'content=:DeprecationWarning"
)

_ERRAND: dict[str, Any] = {
    "fencing_token": 1,
    "lease_left": timedelta(seconds=20),
    "key_age": timedelta(0),
    "since_last_submitted": timedelta(0),
    "created_at": datetime.now(UTC),
    "amount_minor": 1005,
    "provider_reference": None,
}


def _payment(**changes: Any) -> Payment:  # noqa: ANN401 - a field's value
    order_id = uuid4()
    fields = {
        "id": uuid4(),
        "payment_token": f"{order_id}:1",
        "order_id": order_id,
        "currency": "USD",
        "payment_method": "pm_card_visa",
        "state": PaymentState.SUBMITTED,
        "decline_code": None,
        "refunded_minor": 0,
        "void_requested": False,
    }
    return Payment(**_ERRAND | fields | changes)


def _refund(**changes: Any) -> Refund:  # noqa: ANN401 - a field's value
    fields = {
        "id": uuid4(),
        "payment_id": uuid4(),
        "currency": "USD",
        "reason": "a test",
        "state": RefundState.SUBMITTED,
        "rejection_code": None,
        "charge_reference": "pi_1",
    }
    return Refund(**_ERRAND | fields | changes)


def _intent(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON
    intent = {"id": "pi_1", "object": "payment_intent", "amount": 1005, "currency": "usd"}
    return {**intent, "created": 1, "metadata": {}, "status": "succeeded", **changes}


@pytest.fixture
async def provider() -> AsyncIterator["Canned"]:
    canned = Canned()
    async with connect(KEY, await canned.open(), 1) as client:
        canned.provider = StripeProvider(client, 1, timedelta(seconds=1))
        yield canned
    await canned.close()


class Canned:
    """A server that knows any method, and gives one answer to everything else."""

    provider: StripeProvider

    def __init__(self) -> None:
        application = web.Application()
        application.router.add_get("/v1/payment_methods/{id}", self._method)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        self._next = web.Response()

    async def open(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        await self._runner.cleanup()

    def says(self, answer: web.Response) -> StripeProvider:
        self._next = answer
        return self.provider

    async def _method(self, _: web.Request) -> web.Response:
        return web.json_response({"id": "pm_1", "object": "payment_method", "customer": None})

    async def _answer(self, _: web.Request) -> web.Response:
        says = self._next  # an answer of aiohttp's can be sent only once
        return web.Response(status=says.status, body=says.body, headers=says.headers)


def _card_error(**fields: Any) -> web.Response:  # noqa: ANN401 - as JSON
    return error(402, type="card_error", code="card_declined", **fields)


def _later(status: int, code: str) -> web.Response:
    answer = error(status, type="invalid_request_error", code=code)
    answer.headers["Retry-After"] = "7"
    return answer


_INSUFFICIENT = {"code": "card_declined", "decline_code": "insufficient_funds"}


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (_card_error(decline_code="fraudulent"), Refused(code="fraudulent")),
        (_card_error(), Refused(code="card_declined")),
        (
            _card_error(
                payment_intent=_intent(
                    status="requires_payment_method", last_payment_error=_INSUFFICIENT
                )
            ),
            Refused(code="insufficient_funds", reference="pi_1"),
        ),
        (
            error(400, type="invalid_request_error", code="amount_too_small"),
            Refused(code="amount_too_small"),
        ),
        (_later(429, "rate_limit"), NotSent(after=timedelta(seconds=7))),
        (_later(400, "rate_limit"), NotSent(after=timedelta(seconds=7))),
        (_later(429, "lock_timeout"), TryLater(after=timedelta(seconds=7))),
        (_later(409, "idempotency_key_in_use"), TryLater(after=timedelta(seconds=7))),
        (
            error(401, type="invalid_request_error", message="Invalid API Key provided"),
            NotSent(after=timedelta(seconds=30)),
        ),
        (
            error(403, type="invalid_request_error", code="more_permissions_required"),
            NotSent(after=timedelta(seconds=30)),
        ),
    ],
)
async def test_an_answer_that_is_sure_is_taken_as_it_is(
    provider: Canned, answer: web.Response, means: object
) -> None:
    assert await provider.says(answer).charge(_payment()) == means


@pytest.mark.parametrize(
    "answer",
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
async def test_whatever_else_it_says_nobody_knows(provider: Canned, answer: web.Response) -> None:
    asked = provider.says(answer)

    assert isinstance(await asked.charge(_payment()), Unclear)
    assert isinstance(await asked.find_charge(_payment()), Unclear)
    assert isinstance(await asked.find_charge(_payment(provider_reference="pi_1")), Unclear)
    assert isinstance(await asked.refund(_refund()), Unclear)
    assert isinstance(await asked.find_refund(_refund()), Unclear)
    assert isinstance(await asked.void("pi_1"), Unclear)
    assert isinstance(await asked.books_since(datetime.now(UTC)), Unclear)


async def test_a_refused_look_says_nothing_of_the_money(provider: Canned) -> None:
    asked = provider.says(error(404, type="invalid_request_error", code="resource_missing"))

    assert await asked.find_charge(_payment()) == Unclear(why="resource_missing")
    assert await asked.find_refund(_refund()) == Unclear(why="resource_missing")
    assert await asked.void("pi_1") == Unclear(why="resource_missing")


async def test_of_two_intents_of_one_payment_the_one_that_has_the_money_speaks(
    provider: Canned,
) -> None:
    payment = _payment()
    metadata = {"payment_id": str(payment.id)}
    canceled = _intent(id="pi_2", status="canceled", metadata=metadata)
    page = {"object": "list", "data": [canceled, _intent(metadata=metadata)], "has_more": False}
    answer = await provider.says(web.json_response(page)).find_charge(payment)

    assert answer.model_dump() == {"reference": "pi_1"}


async def test_what_is_not_in_the_list_is_not_found(provider: Canned) -> None:
    page = {"object": "list", "data": [_intent(metadata={"payment_id": "x"})], "has_more": False}

    assert await provider.says(web.json_response(page)).find_charge(_payment()) == NotFound()


@pytest.mark.parametrize(
    ("status", "counts"),
    [("succeeded", True), ("canceled", False), ("processing", False), ("pending", False)],
)
async def test_only_what_has_succeeded_is_in_the_books(
    provider: Canned, status: str, *, counts: bool
) -> None:
    page = {"object": "list", "data": [_intent(status=status)], "has_more": False}

    books = await provider.says(web.json_response(page)).books_since(datetime.now(UTC))

    assert isinstance(books, ProviderBooks)
    assert [one.taken for one in books.charges] == [counts]
    assert len(books.refunds) == counts


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_refund_that_failed_is_refused(provider: Canned, status: str) -> None:
    refund = _intent(id="re_1", status=status, failure_reason="expired_or_canceled_card")

    answer = await provider.says(web.json_response(refund)).refund(_refund())

    assert answer == Refused(code="expired_or_canceled_card", reference="re_1")


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
def test_an_amount_is_written_as_stripe_does_or_refused(
    minor: int, currency: str, there: int | None
) -> None:
    assert to_stripe(minor, currency) == there
    if there is not None:
        assert from_stripe(there, currency.lower()) == minor


async def test_an_amount_that_stripe_cannot_write_is_refused_unasked(provider: Canned) -> None:
    refused = Refused(code="amount_not_supported")

    assert await provider.provider.charge(_payment(currency="KWD")) == refused
    assert await provider.provider.refund(_refund(currency="KWD")) == refused


@pytest.mark.parametrize(
    ("settings", "lacks"),
    [
        ({"payment_provider": "stripe", "psp_url": "http://psp"}, "stripe_api_key"),
        ({"payment_provider": "stripe", "stripe_api_key": ""}, "stripe_api_key"),
        ({"payment_provider": "sandbox", "stripe_api_key": KEY}, "psp_url"),
        ({}, "psp_url"),
        ({"payment_provider": "paypal"}, "payment_provider"),
    ],
)
def test_a_setting_that_the_provider_needs_is_missed_at_the_start(
    settings: dict[str, Any], lacks: str
) -> None:
    database = "postgresql://nobody@127.0.0.1/nothing"
    with pytest.raises(ValidationError) as error:
        PaymentSettings(database_url=database, **settings)

    assert [one["loc"] for one in error.value.errors()] == [(lacks,)]


def test_the_key_is_not_in_what_is_printed_of_the_settings() -> None:
    database = "postgresql://nobody@127.0.0.1/nothing"
    settings = PaymentSettings(
        database_url=database, payment_provider="stripe", stripe_api_key="sk_live_secret"
    )

    assert "sk_live_secret" not in repr(settings)
