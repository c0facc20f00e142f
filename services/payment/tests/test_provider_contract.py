"""What every payment provider does: the same tests for each, over a fake of it."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from payment_harness import (
    PaymentHarness,
    build_charge,
    build_refund,
    build_void,
    retry_until_settled,
)
from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import PAYMENT_OUTCOME_UNKNOWN, Charged, Declined, Refunded, Voided
from fuze_payment.messages import ComparePayments

PROVIDERS = {"sandbox": "harness", "stripe": "stripe"}
"""The fixture of each provider's harness."""

pytestmark = pytest.mark.filterwarnings(
    # Stripe's package passes the body to httpx by a deprecated name.
    "ignore:Use 'content=:DeprecationWarning"
)


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> PaymentHarness:
    harness: PaymentHarness = request.getfixturevalue(PROVIDERS[request.param])
    return harness


async def test_a_charge_is_recorded_on_both_sides(provider: PaymentHarness) -> None:
    command = build_charge()

    outcome = await provider.service().payment_charged(command)

    assert isinstance(outcome, Charged)
    [capture] = await provider.list_captures(command.order_id)
    assert capture["id"] == outcome.provider_reference
    assert await provider.state(command.order_id) == "charged"
    assert await provider.provider_balance(command.order_id) == 5997
    assert await provider.ledger_balance(command.order_id) == 5997


async def test_concurrent_attempts_charge_once(provider: PaymentHarness) -> None:
    command, service = build_charge(), provider.service()

    outcomes = await asyncio.gather(
        *(retry_until_settled(lambda: service.payment_charged(command)) for _ in range(20))
    )

    assert len(set(outcomes)) == 1
    assert await provider.provider_balance(command.order_id) == 5997
    assert await provider.ledger_balance(command.order_id) == 5997


async def test_a_decline_is_a_final_outcome(provider: PaymentHarness) -> None:
    command = build_charge(method=provider.declined_method)

    first = await provider.service().payment_charged(command)
    second = await provider.service().payment_charged(command)

    assert isinstance(first, Declined)
    assert (first.code, second) == ("card_declined", first)
    assert await provider.list_captures(command.order_id) == []
    assert await provider.ledger_balance(command.order_id) == 0


async def test_a_charge_whose_response_and_key_are_lost_is_not_repeated(
    provider: PaymentHarness,
) -> None:
    command, service = build_charge(), provider.service(psp_idempotency_key_ttl=timedelta(0))
    await provider.lose_next_response()
    with pytest.raises(ApplicationError) as first:
        await service.payment_charged(command)
    assert first.value.type == PAYMENT_OUTCOME_UNKNOWN
    await provider.forget_keys()

    outcome = await retry_until_settled(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await provider.list_captures(command.order_id)) == 1
    assert await provider.ledger_balance(command.order_id) == 5997


async def test_equal_refunds_stay_two_when_a_response_is_lost(provider: PaymentHarness) -> None:
    command, service = build_charge(), provider.service()
    await service.payment_charged(command)
    await provider.lose_next_response()

    for refund in (build_refund(command, 1000), build_refund(command, 1000)):
        outcome = await retry_until_settled(lambda refund=refund: service.payment_refunded(refund))
        assert isinstance(outcome, Refunded)
        assert await service.payment_refunded(refund) == outcome

    assert await provider.provider_balance(command.order_id) == 3997
    assert await provider.ledger_balance(command.order_id) == 3997


async def test_a_void_before_the_charge_prevents_it(provider: PaymentHarness) -> None:
    command, service = build_charge(), provider.service()

    assert isinstance(await service.payment_voided(build_void(command)), Voided)
    assert isinstance(await service.payment_charged(command), Declined)

    assert await provider.list_captures(command.order_id) == []


async def test_a_void_refunds_the_charge(provider: PaymentHarness) -> None:
    command, service = build_charge(), provider.service()
    await service.payment_charged(command)

    await retry_until_settled(lambda: service.payment_voided(build_void(command)))

    assert await provider.provider_balance(command.order_id) == 0
    assert await provider.ledger_balance(command.order_id) == 0


async def test_reconciliation_settles_a_charge_whose_response_was_lost(
    provider: PaymentHarness,
) -> None:
    since, command = datetime.now(UTC) - timedelta(minutes=1), build_charge()
    await provider.lose_next_response()
    with pytest.raises(ApplicationError):
        await provider.service().payment_charged(command)

    await provider.reconciliation.payments_reconciled(
        ComparePayments(since=since, idle_for=timedelta(milliseconds=1))
    )

    assert await provider.state(command.order_id) == "charged"
    assert await provider.ledger_balance(command.order_id) == 5997
