"""Charges through Stripe: the same protocol against a fake Stripe with injected faults."""

from datetime import timedelta

import pytest
from aiohttp import web
from fake_stripe import error
from payment_harness import SHORT_TIMEOUTS, build_charge, retry_until_settled
from stripe_harness import StripeHarness
from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import (
    PAYMENT_OUTCOME_UNKNOWN,
    PAYMENT_UNDER_REVIEW,
    Charged,
    Declined,
    RefreshPayment,
)
from fuze_payment.domain import payment_id
from fuze_payment.settings import PaymentSettings
from fuze_psp.registry import open_provider

pytestmark = pytest.mark.filterwarnings(
    # Stripe's package passes the body to httpx by a deprecated name.
    "ignore:Use 'content=:DeprecationWarning"
)

_CARD = {"type": "card", "card[exp_month]": 12, "card[exp_year]": 2040, "card[cvc]": "123"}


async def test_a_charge_is_recorded_in_the_row_the_ledger_and_at_stripe(
    stripe: StripeHarness,
) -> None:
    command = build_charge()

    outcome = await stripe.service().payment_charged(command)

    assert isinstance(outcome, Charged)
    [intent] = await stripe.list_captures(command.order_id)
    assert (intent["id"], intent["amount"]) == (outcome.provider_reference, 5997)
    assert intent["currency"] == "usd"
    assert intent["metadata"]["payment_id"] == str(outcome.payment_id)
    assert await stripe.state(command.order_id) == "charged"
    assert await stripe.ledger_balance(command.order_id) == 5997


async def test_an_attached_payment_method_is_charged_with_its_customer(
    stripe: StripeHarness,
) -> None:
    customer = await stripe.fake.create("customers")
    method = await stripe.fake.create("payment_methods", **_CARD, **{"card[number]": "42" * 8})
    await stripe.fake.create(f"payment_methods/{method['id']}/attach", customer=customer["id"])
    command = build_charge(method=method["id"])

    await stripe.service().payment_charged(command)

    [intent] = await stripe.list_captures(command.order_id)
    assert intent["customer"] == customer["id"]


async def test_an_unknown_payment_method_is_a_decline(stripe: StripeHarness) -> None:
    outcome = await stripe.service().payment_charged(build_charge(method="pm_unknown"))

    assert isinstance(outcome, Declined)
    assert outcome.code == "invalid_request"


async def test_a_charge_that_needs_the_customer_is_canceled_and_declined(
    stripe: StripeHarness,
) -> None:
    number = {"card[number]": "4000002500003155"}
    method = await stripe.fake.create("payment_methods", **_CARD, **number)
    command = build_charge(method=method["id"])

    outcome = await stripe.service().payment_charged(command)

    assert isinstance(outcome, Declined)
    assert outcome.code == "authentication_required"
    [intent] = await stripe.intents(command.order_id)
    assert intent["status"] == "canceled"


async def test_a_charge_that_cannot_be_canceled_yet_is_not_declined_yet(
    stripe: StripeHarness,
) -> None:
    number = {"card[number]": "4000002500003155"}
    method = await stripe.fake.create("payment_methods", **_CARD, **number)
    command, service = build_charge(method=method["id"]), stripe.service()
    unavailable = error(429, type="invalid_request_error", code="rate_limit")
    stripe.fake.faults = [("", None), ("rejected", unavailable)]
    with pytest.raises(ApplicationError) as first:
        await service.payment_charged(command)
    assert first.value.type == PAYMENT_OUTCOME_UNKNOWN
    assert await stripe.state(command.order_id) == "submitted"

    outcome = await retry_until_settled(lambda: service.payment_charged(command))

    assert isinstance(outcome, Declined)
    [intent] = await stripe.intents(command.order_id)
    assert intent["status"] == "canceled"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("response_dropped", None),
        ("rejected", error(429, type="invalid_request_error", code="rate_limit")),
        ("rejected", error(429, type="invalid_request_error", code="lock_timeout")),
        ("rejected", error(500, type="api_error", message="An error occurred internally")),
        ("rejected", web.Response(text="<html>bad gateway</html>", status=502)),
        ("rejected", error(401, type="invalid_request_error", message="Expired API Key")),
    ],
)
async def test_a_payment_is_charged_once_in_spite_of_a_fault(
    stripe: StripeHarness, fault: str, says: web.Response | None
) -> None:
    command, service = build_charge(), stripe.service()
    stripe.fake.faults = [(fault, says)]
    with pytest.raises(ApplicationError) as first:
        await service.payment_charged(command)
    assert first.value.type == PAYMENT_OUTCOME_UNKNOWN

    outcome = await retry_until_settled(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await stripe.intents(command.order_id)) == 1
    assert await stripe.ledger_balance(command.order_id) == 5997


async def test_a_charge_whose_response_and_key_are_lost_is_found_on_any_page(
    stripe: StripeHarness,
) -> None:
    command, service = build_charge(), stripe.service(psp_idempotency_key_ttl=timedelta(0))
    stripe.fake.faults, stripe.fake.largest_page = [("response_dropped", None)], 1
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    stripe.fake.forget_keys()
    for _ in range(3):
        await stripe.fake.create("payment_intents", amount=1, currency="usd")

    outcome = await service.payment_charged(command)

    assert isinstance(outcome, Charged)
    assert len(await stripe.intents(command.order_id)) == 1
    assert len([one for one in stripe.fake.requests if one == "/v1/payment_intents"]) == 1


async def test_a_second_request_waits_while_stripe_processes_the_first(
    stripe: StripeHarness,
) -> None:
    command, service = build_charge(), stripe.service(**SHORT_TIMEOUTS)
    stripe.fake.faults = [("delayed", None)]
    for _ in range(2):
        with pytest.raises(ApplicationError) as waits:
            await service.payment_charged(command)
        assert waits.value.type == PAYMENT_OUTCOME_UNKNOWN
    stripe.fake.released.set()

    outcome = await retry_until_settled(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await stripe.intents(command.order_id)) == 1


async def test_without_a_connection_or_a_valid_key_nothing_counts_as_submitted(
    stripe: StripeHarness,
) -> None:
    for wrong in ({"stripe_api_base": "http://127.0.0.1:1"}, {"stripe_api_key": "pk_no_secret"}):
        command = build_charge()
        settings = PaymentSettings(**stripe.settings.model_dump() | wrong)
        async with open_provider(settings, request_timeout=settings.psp_timeout) as provider:
            service = stripe.service_with(provider)
            with pytest.raises(ApplicationError):
                await service.payment_charged(command)

        assert await stripe.state(command.order_id) == "created"
        assert isinstance(await stripe.service().payment_charged(command), Charged)


async def test_a_processing_payment_is_under_review_until_it_succeeded(
    stripe: StripeHarness,
) -> None:
    command, service = build_charge(), stripe.service()
    stripe.fake.shows_processing = True
    for _ in range(2):
        with pytest.raises(ApplicationError) as error:
            await service.payment_charged(command)
        assert error.value.type == PAYMENT_UNDER_REVIEW
    assert await stripe.ledger_balance(command.order_id) == 0
    stripe.fake.shows_processing = False

    hint = RefreshPayment(payment_id=payment_id(command.order_id, command.payment_token))
    assert await stripe.webhooks.payment_refreshed(hint) == "charged"

    assert isinstance(await service.payment_charged(command), Charged)
    assert await stripe.ledger_balance(command.order_id) == 5997


async def test_a_processing_payment_may_be_declined(
    stripe: StripeHarness,
) -> None:
    iban = {"sepa_debit[iban]": "DE62370400440532013001"}
    method = await stripe.fake.create("payment_methods", type="sepa_debit", **iban)
    command, service = build_charge(method=method["id"]), stripe.service()
    with pytest.raises(ApplicationError) as error:
        await service.payment_charged(command)
    assert error.value.type == PAYMENT_UNDER_REVIEW

    outcome = await retry_until_settled(lambda: service.payment_charged(command))

    assert isinstance(outcome, Declined)
    assert outcome.code == "card_declined"
