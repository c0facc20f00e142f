"""Charges: once, whatever fails at the provider and in the network."""

import asyncio
from datetime import timedelta

import pytest
from payment_harness import SHORT_TIMEOUTS, PaymentHarness, build_charge, retry_until_settled
from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import (
    PAYMENT_IN_FLIGHT,
    PAYMENT_OUTCOME_UNKNOWN,
    PAYMENT_TOKEN_CONFLICT,
    PAYMENT_UNDER_REVIEW,
    Charged,
    Declined,
    RefreshPayment,
)
from fuze_payment.domain import payment_id
from fuze_payment.payment_repository import PaymentRepository


async def test_a_charge_is_recorded_in_the_row_the_ledger_and_at_the_provider(
    harness: PaymentHarness,
) -> None:
    command = build_charge()

    outcome = await harness.service().payment_charged(command)

    assert isinstance(outcome, Charged)
    [charge] = await harness.list_captures(command.order_id)
    assert charge["id"] == outcome.provider_reference
    assert charge["idempotency_key"] == charge["payment_id"] == str(outcome.payment_id)
    assert await harness.state(command.order_id) == "charged"
    assert await harness.ledger_balance(command.order_id) == 5997


async def test_a_hundred_concurrent_attempts_charge_once(harness: PaymentHarness) -> None:
    command, service = build_charge(), harness.service()

    outcomes = await asyncio.gather(
        *(retry_until_settled(lambda: service.payment_charged(command)) for _ in range(100))
    )

    assert len(set(outcomes)) == 1
    assert len(await harness.list_captures(command.order_id)) == 1
    assert await harness.ledger_balance(command.order_id) == 5997


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_declined", "card_declined"),
        ("pm_insufficient_funds", "insufficient_funds"),
        ("pm_fraud", "fraud"),
    ],
)
async def test_a_decline_is_a_final_outcome(
    harness: PaymentHarness, method: str, code: str
) -> None:
    command = build_charge(method=method)

    first = await harness.service().payment_charged(command)
    second = await harness.service().payment_charged(command)

    assert isinstance(first, Declined)
    assert (first.code, second) == (code, first)
    assert len(await harness.list_at_provider("charges", command.order_id)) == 1
    assert await harness.ledger_balance(command.order_id) == 0


@pytest.mark.parametrize(
    "method",
    ["pm_response_dropped", "pm_delayed_commit", "pm_error_once", "pm_rate_limited", "pm_slow"],
)
async def test_a_payment_is_charged_once_in_spite_of_a_fault(
    harness: PaymentHarness, method: str
) -> None:
    command = build_charge(method=method)
    service = harness.service(**(SHORT_TIMEOUTS if method == "pm_slow" else {}))
    with pytest.raises(ApplicationError) as first:
        await service.payment_charged(command)
    assert first.value.type == PAYMENT_OUTCOME_UNKNOWN

    outcome = await retry_until_settled(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await harness.list_captures(command.order_id)) == 1
    assert await harness.ledger_balance(command.order_id) == 5997


async def test_a_charge_whose_key_expired_is_not_repeated(
    harness: PaymentHarness,
) -> None:
    await harness.set_faults(idempotency_key_ttl_seconds=0)
    command = build_charge(method="pm_response_dropped")
    service = harness.service(psp_idempotency_key_ttl=timedelta(0))
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)

    outcome = await retry_until_settled(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await harness.list_captures(command.order_id)) == 1


async def test_a_late_charge_whose_key_expired_in_an_outage_is_not_repeated(
    harness: PaymentHarness,
) -> None:
    await harness.set_faults(idempotency_key_ttl_seconds=0, commit_delay_seconds=1)
    command = build_charge(method="pm_delayed_commit")
    service = harness.service(psp_idempotency_key_ttl=timedelta(0))
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    await harness.set_faults(available=False, idempotency_key_ttl_seconds=0, commit_delay_seconds=1)
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    await harness.set_faults(idempotency_key_ttl_seconds=0)

    await retry_until_settled(lambda: service.payment_charged(command))

    assert len(await harness.list_captures(command.order_id)) == 1


async def test_a_charge_that_never_took_effect_is_voided_after_the_settle_window(
    harness: PaymentHarness,
) -> None:
    command = build_charge()
    service = harness.service(
        psp_idempotency_key_ttl=timedelta(0), psp_settle_window=timedelta(seconds=0.5)
    )
    await harness.set_faults(faults={"error": 1})
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    await harness.set_faults()

    outcome = await retry_until_settled(lambda: service.payment_charged(command))

    assert isinstance(outcome, Declined)
    assert await harness.state(command.order_id) == "voided"


async def test_a_request_that_was_not_processed_does_not_age_the_key(
    harness: PaymentHarness,
) -> None:
    command = build_charge()
    service = harness.service(psp_idempotency_key_ttl=timedelta(0))
    await harness.set_faults(faults={"rate_limited": 1})
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    assert await harness.state(command.order_id) == "created"
    await harness.set_faults()

    assert isinstance(await retry_until_settled(lambda: service.payment_charged(command)), Charged)


async def test_a_payment_under_review_is_charged_after_its_approval(
    harness: PaymentHarness,
) -> None:
    command, service = build_charge(method="pm_under_review"), harness.service()
    for _ in range(2):
        with pytest.raises(ApplicationError) as error:
            await service.payment_charged(command)
        assert error.value.type == PAYMENT_UNDER_REVIEW
        assert error.value.next_retry_delay == timedelta(seconds=1)
    await harness.decide_review(command.order_id, "charged")

    outcome = await service.payment_charged(command)

    assert isinstance(outcome, Charged)
    assert await harness.ledger_balance(command.order_id) == 5997


async def test_a_payment_under_review_may_be_declined(harness: PaymentHarness) -> None:
    command, service = build_charge(method="pm_under_review"), harness.service()
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    await harness.decide_review(command.order_id, "declined")

    outcome = await service.payment_charged(command)

    assert isinstance(outcome, Declined)
    assert outcome.code == "review_failed"


async def test_a_free_order_is_charged_without_the_provider(harness: PaymentHarness) -> None:
    command = build_charge(amount_minor=0, method=None)
    await harness.set_faults(available=False)

    outcome = await harness.service().payment_charged(command)

    assert isinstance(outcome, Charged)
    assert outcome.provider_reference is None
    assert await harness.list_at_provider("charges", command.order_id) == []


async def test_a_token_of_another_order_is_another_token(harness: PaymentHarness) -> None:
    commands = [build_charge(token="cart-1"), build_charge(token="cart-1")]

    outcomes = [await harness.service().payment_charged(command) for command in commands]

    assert [outcome.outcome for outcome in outcomes] == ["charged", "charged"]
    assert [len(await harness.list_captures(one.order_id)) for one in commands] == [1, 1]


async def test_a_token_that_was_used_for_another_charge_is_a_conflict(
    harness: PaymentHarness,
) -> None:
    command = build_charge()
    await harness.service().payment_charged(command)

    with pytest.raises(ApplicationError) as error:
        await harness.service().payment_charged(build_charge(command.order_id, amount_minor=1))

    assert (error.value.type, error.value.non_retryable) == (PAYMENT_TOKEN_CONFLICT, True)


async def test_a_second_live_charge_of_an_order_is_a_conflict(harness: PaymentHarness) -> None:
    command = build_charge()
    await harness.service().payment_charged(command)

    with pytest.raises(ApplicationError) as error:
        await harness.service().payment_charged(
            build_charge(command.order_id, token=f"{command.order_id}:2")
        )

    assert error.value.type == PAYMENT_TOKEN_CONFLICT
    assert len(await harness.list_captures(command.order_id)) == 1


async def test_after_a_decline_another_token_can_be_charged(harness: PaymentHarness) -> None:
    declined = build_charge(method="pm_declined")
    await harness.service().payment_charged(declined)

    outcome = await harness.service().payment_charged(
        build_charge(declined.order_id, token=f"{declined.order_id}:2")
    )

    assert isinstance(outcome, Charged)


async def test_an_attempt_without_the_lease_gets_the_time_of_its_retry(
    harness: PaymentHarness,
) -> None:
    command = build_charge()
    repository = PaymentRepository(harness.engine, timedelta(seconds=30))
    assert await repository.claim(command) is not None

    with pytest.raises(ApplicationError) as error:
        await harness.service().payment_charged(command)

    assert error.value.type == PAYMENT_IN_FLIGHT
    assert error.value.next_retry_delay is not None
    assert error.value.next_retry_delay > timedelta(seconds=20)


async def test_after_its_lease_expired_a_holder_cannot_submit(
    harness: PaymentHarness,
) -> None:
    repository = PaymentRepository(harness.engine, timedelta(milliseconds=1))
    claimed = await repository.claim(build_charge())
    assert claimed is not None
    await asyncio.sleep(0.01)
    successor = await repository.acquire(claimed.payment)
    assert successor is not None

    assert successor.fencing_token == claimed.payment.fencing_token + 1
    assert not await repository.mark_submitted(claimed.payment)


async def test_a_webhook_settles_a_payment_under_review_and_no_other(
    harness: PaymentHarness,
) -> None:
    reviewed, other = build_charge(method="pm_under_review"), build_charge()
    service = harness.service()
    with pytest.raises(ApplicationError):
        await service.payment_charged(reviewed)
    await harness.service().payment_charged(other)
    await harness.decide_review(reviewed.order_id, "charged")

    first = RefreshPayment(payment_id=payment_id(reviewed.order_id, reviewed.payment_token))
    second = RefreshPayment(payment_id=payment_id(other.order_id, other.payment_token))
    unknown = RefreshPayment(payment_id=payment_id(other.order_id, "an unused token"))

    assert await harness.webhooks.payment_refreshed(first) == "charged"
    assert await harness.webhooks.payment_refreshed(second) == "charged"
    assert await harness.webhooks.payment_refreshed(unknown) == "not_found"
    assert await harness.ledger_balance(reviewed.order_id) == 5997
