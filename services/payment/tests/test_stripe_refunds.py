"""Refunds and voids through Stripe, and its records."""

from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from fake_stripe import error
from payment_harness import build_charge, build_refund, build_void, retry_until_settled
from stripe_harness import StripeHarness
from temporalio.exceptions import ApplicationError

from fuze_payment.messages import ComparePayments

pytestmark = pytest.mark.filterwarnings(
    # Stripe's package passes the body to httpx by a deprecated name.
    "ignore:Use 'content=:DeprecationWarning"
)


async def test_a_pending_refund_is_retried_later(stripe: StripeHarness) -> None:
    command, service = build_charge(), stripe.service()
    await service.payment_charged(command)
    pending = {"id": "re_1", "status": "pending", "amount": 1, "currency": "usd", "created": 1}
    stripe.fake.faults = [("rejected", web.json_response(pending))]

    with pytest.raises(ApplicationError) as waits:
        await service.payment_refunded(build_refund(command, 1))

    assert waits.value.next_retry_delay == timedelta(minutes=1)


async def test_a_void_of_a_processing_payment_keeps_no_money(stripe: StripeHarness) -> None:
    command, service = build_charge(), stripe.service()
    stripe.fake.shows_processing = True
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    with pytest.raises(ApplicationError):
        await service.payment_voided(build_void(command))
    stripe.fake.shows_processing = False

    await retry_until_settled(lambda: service.payment_voided(build_void(command)))

    assert await stripe.provider_balance(command.order_id) == 0


async def test_a_void_cancels_an_open_intent(
    stripe: StripeHarness,
) -> None:
    intent = await stripe.fake.create("payment_intents", amount=1, currency="usd")

    for _ in range(2):
        # The second time Stripe refuses, and shows what has become of the intent.
        answer = await stripe.provider().void(intent["id"])
        assert answer.model_dump() == {"reference": intent["id"]}
        shown = {"payment_intent": intent | {"status": "canceled"}}
        unexpected = {"type": "invalid_request_error", "code": "payment_intent_unexpected_state"}
        stripe.fake.faults = [("rejected", error(400, **unexpected, **shown))]


async def test_matching_records_agree_and_an_unknown_intent_is_listed(
    stripe: StripeHarness,
) -> None:
    since, service = datetime.now(UTC) - timedelta(minutes=1), stripe.service()
    charged, lost = build_charge(), build_charge()
    await service.payment_charged(charged)
    await service.payment_refunded(build_refund(charged, 97))
    stripe.fake.faults, stripe.fake.largest_page = [("response_dropped", None)], 2
    with pytest.raises(ApplicationError):
        await service.payment_charged(lost)
    form = {"confirm": "true", "payment_method": "pm_card_visa"}
    unknown = await stripe.fake.create("payment_intents", amount=42, currency="isk", **form)

    await stripe.reconciliation.payments_reconciled(
        ComparePayments(since=since, idle_for=timedelta(milliseconds=1))
    )

    assert await stripe.state(lost.order_id) == "charged"
    query = "SELECT count(*) FROM payments.discrepancies WHERE order_id = :order_id"
    for command in (charged, lost):
        assert await stripe.scalar(query, command.order_id) == 0
    records = await stripe.provider().list_since(since)
    [listed] = [one for one in records.charges if one.reference == unknown["id"]]
    assert (listed.amount_minor, listed.currency, listed.payment_id) == (0, "ISK", None)
