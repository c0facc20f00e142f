"""Money back through Stripe, and its books."""

from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from stripe_stand_in import error
from stripe_till import StripeTill
from temporalio.exceptions import ApplicationError
from till import a_charge, a_refund, a_void, insist

from fuze_contracts.payment import (
    Declined,
    Refunded,
    Voided,
)
from fuze_payment.messages import Reconcile

pytestmark = pytest.mark.filterwarnings(
    # Stripe's package gives httpx its body under an old name.
    "ignore:Use 'content=:DeprecationWarning"
)


async def test_refunds_of_one_amount_are_two_and_a_lost_reply_does_not_make_a_third(
    stripe_till: StripeTill,
) -> None:
    command, service = a_charge(), stripe_till.service()
    await service.payment_charged(command)
    stripe_till.door.faults = [("lost", None)]

    for refund in (a_refund(command, 1000), a_refund(command, 1000)):
        outcome = await insist(lambda refund=refund: service.payment_refunded(refund))
        again = await service.payment_refunded(refund)
        assert isinstance(outcome, Refunded)
        assert outcome == again

    assert [one["amount"] for one in await stripe_till.refunds(command.order_id)] == [1000, 1000]
    assert await stripe_till.kept_at_the_provider(command.order_id) == 3997
    assert await stripe_till.kept_in_the_ledger(command.order_id) == 3997


async def test_all_of_a_charge_can_be_refunded_once(stripe_till: StripeTill) -> None:
    command, service = a_charge(), stripe_till.service()
    await service.payment_charged(command)

    await service.payment_refunded(a_refund(command, 5997))

    assert await stripe_till.kept_at_the_provider(command.order_id) == 0
    assert await stripe_till.kept_in_the_ledger(command.order_id) == 0


async def test_a_refund_that_is_pending_is_waited_for(stripe_till: StripeTill) -> None:
    command, service = a_charge(), stripe_till.service()
    await service.payment_charged(command)
    pending = {"id": "re_1", "status": "pending", "amount": 1, "currency": "usd", "created": 1}
    stripe_till.door.faults = [("rejected", web.json_response(pending))]

    with pytest.raises(ApplicationError) as waits:
        await service.payment_refunded(a_refund(command, 1))

    assert waits.value.next_retry_delay == timedelta(minutes=1)


async def test_a_void_gives_a_charge_back(stripe_till: StripeTill) -> None:
    command, service = a_charge(), stripe_till.service()
    await service.payment_charged(command)

    await insist(lambda: service.payment_voided(a_void(command)))

    assert await stripe_till.kept_at_the_provider(command.order_id) == 0
    assert await stripe_till.kept_in_the_ledger(command.order_id) == 0


async def test_a_void_before_the_charge_forbids_it(stripe_till: StripeTill) -> None:
    command, service = a_charge(), stripe_till.service()

    assert isinstance(await service.payment_voided(a_void(command)), Voided)
    assert isinstance(await service.payment_charged(command), Declined)

    assert await stripe_till.intents(command.order_id) == []


async def test_a_void_of_a_payment_that_is_processed_keeps_nothing(stripe_till: StripeTill) -> None:
    command, service = a_charge(), stripe_till.service()
    stripe_till.door.reviewing = True
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    with pytest.raises(ApplicationError):
        await service.payment_voided(a_void(command))
    stripe_till.door.reviewing = False

    await insist(lambda: service.payment_voided(a_void(command)))

    assert await stripe_till.kept_at_the_provider(command.order_id) == 0


async def test_an_intent_that_still_can_be_canceled_is_canceled_by_a_void(
    stripe_till: StripeTill,
) -> None:
    intent = await stripe_till.door.make("payment_intents", amount=1, currency="usd")

    for _ in range(2):
        # The second time Stripe refuses, and shows what has become of the intent.
        answer = await stripe_till.provider().void(intent["id"])
        assert answer.model_dump() == {"reference": intent["id"]}
        shown = {"payment_intent": intent | {"status": "canceled"}}
        unexpected = {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}
        stripe_till.door.faults = [("rejected", error(400, **unexpected, **shown))]


async def test_stripes_books_agree_with_ours_and_what_we_do_not_know_is_listed(
    stripe_till: StripeTill,
) -> None:
    since, service = datetime.now(UTC) - timedelta(minutes=1), stripe_till.service()
    charged, lost = a_charge(), a_charge()
    await service.payment_charged(charged)
    await service.payment_refunded(a_refund(charged, 97))
    stripe_till.door.faults, stripe_till.door.largest_page = [("lost", None)], 2
    with pytest.raises(ApplicationError):
        await service.payment_charged(lost)
    form = {"confirm": "true", "payment_method": "pm_card_visa"}
    unknown = await stripe_till.door.make("payment_intents", amount=42, currency="isk", **form)

    await stripe_till.reconciliation.reconcile(
        Reconcile(since=since, at_rest_for=timedelta(milliseconds=1))
    )

    assert await stripe_till.state(lost.order_id) == "charged"
    query = "SELECT count(*) FROM payments.discrepancies WHERE order_id = :order_id"
    for command in (charged, lost):
        assert await stripe_till.scalar(query, command.order_id) == 0
    books = await stripe_till.provider().books_since(since)
    [listed] = [one for one in books.charges if one.reference == unknown["id"]]
    assert (listed.amount_minor, listed.currency, listed.payment_id) == (0, "ISK", None)
