"""Money through Stripe: the same protocol, against localstripe behind a door that can slam."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web
from stripe_stand_in import error
from stripe_till import StripeTill
from temporalio.exceptions import ApplicationError
from till import a_charge, insist

from fuze_contracts.payment import (
    PAYMENT_OUTCOME_UNKNOWN,
    PAYMENT_UNDER_REVIEW,
    Charged,
    Declined,
    RefreshPayment,
)
from fuze_payment.__main__ import provider_of, wire
from fuze_payment.rules import payment_id
from fuze_payment.settings import PaymentSettings

pytestmark = pytest.mark.filterwarnings(
    # Stripe's package gives httpx its body under an old name.
    "ignore:Use 'content=:DeprecationWarning"
)

_CARD = {"type": "card", "card[exp_month]": 12, "card[exp_year]": 2040, "card[cvc]": "123"}


async def test_a_charge_is_in_the_row_in_the_ledger_and_at_stripe(stripe_till: StripeTill) -> None:
    command = a_charge()

    outcome = await stripe_till.service().payment_charged(command)

    assert isinstance(outcome, Charged)
    [intent] = await stripe_till.taken(command.order_id)
    assert (intent["id"], intent["amount"]) == (outcome.provider_reference, 5997)
    assert intent["currency"] == "usd"
    assert intent["metadata"]["payment_id"] == str(outcome.payment_id)
    assert await stripe_till.state(command.order_id) == "charged"
    assert await stripe_till.kept_in_the_ledger(command.order_id) == 5997


async def test_many_attempts_at_once_charge_once(stripe_till: StripeTill) -> None:
    command, service = a_charge(), stripe_till.service()

    outcomes = await asyncio.gather(
        *(insist(lambda: service.payment_charged(command)) for _ in range(20))
    )

    assert len(set(outcomes)) == 1
    assert len(await stripe_till.intents(command.order_id)) == 1
    assert await stripe_till.kept_in_the_ledger(command.order_id) == 5997


async def test_a_method_that_is_attached_is_charged_with_its_customer(
    stripe_till: StripeTill,
) -> None:
    customer = await stripe_till.door.make("customers")
    method = await stripe_till.door.make("payment_methods", **_CARD, **{"card[number]": "42" * 8})
    await stripe_till.door.make(f"payment_methods/{method['id']}/attach", customer=customer["id"])
    command = a_charge(method=method["id"])

    await stripe_till.service().payment_charged(command)

    [intent] = await stripe_till.taken(command.order_id)
    assert intent["customer"] == customer["id"]


async def test_a_decline_is_an_outcome_and_stays_one(stripe_till: StripeTill) -> None:
    command = a_charge(method="pm_card_chargeCustomerFail")

    first = await stripe_till.service().payment_charged(command)
    second = await stripe_till.service().payment_charged(command)

    assert isinstance(first, Declined)
    assert (first.code, second) == ("card_declined", first)
    assert len(await stripe_till.intents(command.order_id)) == 1
    assert await stripe_till.kept_in_the_ledger(command.order_id) == 0


async def test_a_method_that_stripe_does_not_know_is_a_decline(stripe_till: StripeTill) -> None:
    outcome = await stripe_till.service().payment_charged(a_charge(method="pm_of_nobody"))

    assert isinstance(outcome, Declined)
    assert outcome.code == "invalid_request"


async def test_what_only_the_customer_could_confirm_is_canceled_and_a_decline(
    stripe_till: StripeTill,
) -> None:
    number = {"card[number]": "4000002500003155"}
    method = await stripe_till.door.make("payment_methods", **_CARD, **number)
    command = a_charge(method=method["id"])

    outcome = await stripe_till.service().payment_charged(command)

    assert isinstance(outcome, Declined)
    assert outcome.code == "authentication_required"
    [intent] = await stripe_till.intents(command.order_id)
    assert intent["status"] == "canceled"


async def test_what_could_not_be_canceled_yet_is_no_decline_yet(stripe_till: StripeTill) -> None:
    number = {"card[number]": "4000002500003155"}
    method = await stripe_till.door.make("payment_methods", **_CARD, **number)
    command, service = a_charge(method=method["id"]), stripe_till.service()
    away = error(429, type="invalid_request_error", code="rate_limit")
    stripe_till.door.faults = [("", None), ("rejected", away)]
    with pytest.raises(ApplicationError) as first:
        await service.payment_charged(command)
    assert first.value.type == PAYMENT_OUTCOME_UNKNOWN
    assert await stripe_till.state(command.order_id) == "submitted"

    outcome = await insist(lambda: service.payment_charged(command))

    assert isinstance(outcome, Declined)
    [intent] = await stripe_till.intents(command.order_id)
    assert intent["status"] == "canceled"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("lost", None),
        ("rejected", error(429, type="invalid_request_error", code="rate_limit")),
        ("rejected", error(429, type="invalid_request_error", code="lock_timeout")),
        ("rejected", error(500, type="api_error", message="An error occurred internally")),
        ("rejected", web.Response(text="<html>bad gateway</html>", status=502)),
        ("rejected", error(401, type="invalid_request_error", message="Expired API Key")),
    ],
)
async def test_whatever_goes_wrong_on_the_way_the_money_is_taken_once(
    stripe_till: StripeTill, fault: str, says: web.Response | None
) -> None:
    command, service = a_charge(), stripe_till.service()
    stripe_till.door.faults = [(fault, says)]
    with pytest.raises(ApplicationError) as first:
        await service.payment_charged(command)
    assert first.value.type == PAYMENT_OUTCOME_UNKNOWN

    outcome = await insist(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await stripe_till.intents(command.order_id)) == 1
    assert await stripe_till.kept_in_the_ledger(command.order_id) == 5997


async def test_a_lost_reply_is_looked_up_on_every_page_when_the_key_is_forgotten(
    stripe_till: StripeTill,
) -> None:
    command, service = a_charge(), stripe_till.service(psp_idempotency_key_ttl=timedelta(0))
    stripe_till.door.faults, stripe_till.door.largest_page = [("lost", None)], 1
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    stripe_till.door.forget_keys()
    for _ in range(3):
        await stripe_till.door.make("payment_intents", amount=1, currency="usd")

    outcome = await service.payment_charged(command)

    assert isinstance(outcome, Charged)
    assert len(await stripe_till.intents(command.order_id)) == 1
    assert len([one for one in stripe_till.door.asked if one == "/v1/payment_intents"]) == 1


async def test_while_stripe_works_on_the_first_request_the_second_waits(
    stripe_till: StripeTill,
) -> None:
    command, service = a_charge(), stripe_till.service()
    stripe_till.door.faults = [("slow", None)]
    for _ in range(2):
        with pytest.raises(ApplicationError) as waits:
            await service.payment_charged(command)
        assert waits.value.type == PAYMENT_OUTCOME_UNKNOWN
    stripe_till.door.released.set()

    outcome = await insist(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await stripe_till.intents(command.order_id)) == 1


async def test_when_stripe_cannot_be_reached_or_knows_no_such_key_nothing_counts_as_sent(
    stripe_till: StripeTill,
) -> None:
    for wrong in ({"stripe_api_base": "http://127.0.0.1:1"}, {"stripe_api_key": "pk_no_secret"}):
        command = a_charge()
        settings = PaymentSettings(**stripe_till.settings.model_dump() | wrong)
        async with provider_of(settings) as provider:
            service, *_ = wire(settings, stripe_till.engine, provider)
            with pytest.raises(ApplicationError):
                await service.payment_charged(command)

        assert await stripe_till.state(command.order_id) == "created"
        assert isinstance(await stripe_till.service().payment_charged(command), Charged)


async def test_a_payment_that_stripe_processes_is_held_until_it_has_succeeded(
    stripe_till: StripeTill,
) -> None:
    command, service = a_charge(), stripe_till.service()
    stripe_till.door.reviewing = True
    for _ in range(2):
        with pytest.raises(ApplicationError) as held:
            await service.payment_charged(command)
        assert held.value.type == PAYMENT_UNDER_REVIEW
    assert await stripe_till.kept_in_the_ledger(command.order_id) == 0
    stripe_till.door.reviewing = False

    hint = RefreshPayment(payment_id=payment_id(command.payment_token))
    assert await stripe_till.events.refresh(hint) == "charged"

    assert isinstance(await service.payment_charged(command), Charged)
    assert await stripe_till.kept_in_the_ledger(command.order_id) == 5997


async def test_a_payment_that_stripe_processes_may_end_in_a_decline(
    stripe_till: StripeTill,
) -> None:
    iban = {"sepa_debit[iban]": "DE62370400440532013001"}
    method = await stripe_till.door.make("payment_methods", type="sepa_debit", **iban)
    command, service = a_charge(method=method["id"]), stripe_till.service()
    with pytest.raises(ApplicationError) as held:
        await service.payment_charged(command)
    assert held.value.type == PAYMENT_UNDER_REVIEW

    outcome = await insist(lambda: service.payment_charged(command))

    assert isinstance(outcome, Declined)
    assert outcome.code == "card_declined"
