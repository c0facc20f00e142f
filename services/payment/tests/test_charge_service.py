"""Money in, once, whatever the provider and the network do."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.exceptions import ApplicationError
from till import Till, a_charge, insist

from fuze_contracts.payment import (
    PAYMENT_IN_FLIGHT,
    PAYMENT_OUTCOME_UNKNOWN,
    PAYMENT_TOKEN_CONFLICT,
    PAYMENT_UNDER_REVIEW,
    Charged,
    Declined,
    RefreshPayment,
)
from fuze_payment.repository import PaymentRepository
from fuze_payment.rules import payment_id


async def test_a_charge_is_in_the_row_in_the_ledger_and_at_the_provider(till: Till) -> None:
    command = a_charge()

    outcome = await till.service().payment_charged(command)

    assert isinstance(outcome, Charged)
    [charge] = await till.taken(command.order_id)
    assert charge["id"] == outcome.provider_reference
    assert charge["idempotency_key"] == charge["payment_id"] == str(outcome.payment_id)
    assert await till.state(command.order_id) == "charged"
    assert await till.kept_in_the_ledger(command.order_id) == 5997


async def test_a_hundred_attempts_at_once_charge_once(till: Till) -> None:
    command, service = a_charge(), till.service()

    outcomes = await asyncio.gather(
        *(insist(lambda: service.payment_charged(command)) for _ in range(100))
    )

    assert len(set(outcomes)) == 1
    assert len(await till.taken(command.order_id)) == 1
    assert await till.kept_in_the_ledger(command.order_id) == 5997


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("pm_declined", "card_declined"),
        ("pm_insufficient_funds", "insufficient_funds"),
        ("pm_fraud", "fraud"),
    ],
)
async def test_a_decline_is_an_outcome_and_stays_one(till: Till, method: str, code: str) -> None:
    command = a_charge(method=method)

    first = await till.service().payment_charged(command)
    second = await till.service().payment_charged(command)

    assert isinstance(first, Declined)
    assert (first.code, second) == (code, first)
    assert len(await till.at_the_provider("charges", command.order_id)) == 1
    assert await till.kept_in_the_ledger(command.order_id) == 0


@pytest.mark.parametrize(
    "method",
    ["pm_response_dropped", "pm_delayed_commit", "pm_error_once", "pm_rate_limited", "pm_slow"],
)
async def test_whatever_goes_wrong_on_the_way_the_money_is_taken_once(
    till: Till, method: str
) -> None:
    command, service = a_charge(method=method), till.service()
    with pytest.raises(ApplicationError) as first:
        await service.payment_charged(command)
    assert first.value.type == PAYMENT_OUTCOME_UNKNOWN

    outcome = await insist(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await till.taken(command.order_id)) == 1
    assert await till.kept_in_the_ledger(command.order_id) == 5997


async def test_a_key_that_the_provider_has_forgotten_does_not_double_a_charge(till: Till) -> None:
    await till.conditions(keep_keys_seconds=0)
    command = a_charge(method="pm_response_dropped")
    service = till.service(psp_idempotency_key_ttl=timedelta(0))
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)

    outcome = await insist(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await till.taken(command.order_id)) == 1


async def test_keys_forgotten_in_an_outage_do_not_double_a_charge_that_lands_late(
    till: Till,
) -> None:
    await till.conditions(keep_keys_seconds=0, late_by_seconds=1)
    command = a_charge(method="pm_delayed_commit")
    service = till.service(psp_idempotency_key_ttl=timedelta(0))
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    await till.conditions(available=False, keep_keys_seconds=0, late_by_seconds=1)
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    await till.conditions(keep_keys_seconds=0)

    await insist(lambda: service.payment_charged(command))

    assert len(await till.taken(command.order_id)) == 1


async def test_a_charge_that_never_arrived_is_given_up_after_the_settle_window(till: Till) -> None:
    command = a_charge()
    service = till.service(
        psp_idempotency_key_ttl=timedelta(0), psp_settle_window=timedelta(seconds=0.5)
    )
    await till.conditions(faults={"error": 1})
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    await till.conditions()

    outcome = await insist(lambda: service.payment_charged(command))

    assert isinstance(outcome, Declined)
    assert await till.state(command.order_id) == "voided"


async def test_an_outage_does_not_make_a_key_older_when_nothing_was_sent(till: Till) -> None:
    command = a_charge()
    service = till.service(psp_idempotency_key_ttl=timedelta(0))
    await till.conditions(faults={"rate_limited": 1})
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    assert await till.state(command.order_id) == "created"
    await till.conditions()

    assert isinstance(await insist(lambda: service.payment_charged(command)), Charged)


async def test_a_held_payment_waits_for_the_review(till: Till) -> None:
    command, service = a_charge(method="pm_under_review"), till.service()
    for _ in range(2):
        with pytest.raises(ApplicationError) as held:
            await service.payment_charged(command)
        assert held.value.type == PAYMENT_UNDER_REVIEW
        assert held.value.next_retry_delay == timedelta(seconds=1)
    [charge] = await till.at_the_provider("charges", command.order_id)
    await till.http.post(f"/psp/charges/{charge['id']}/decide", json={"status": "charged"})

    outcome = await service.payment_charged(command)

    assert isinstance(outcome, Charged)
    assert await till.kept_in_the_ledger(command.order_id) == 5997


async def test_a_review_may_end_in_a_decline(till: Till) -> None:
    command, service = a_charge(method="pm_under_review"), till.service()
    with pytest.raises(ApplicationError):
        await service.payment_charged(command)
    [charge] = await till.at_the_provider("charges", command.order_id)
    await till.http.post(f"/psp/charges/{charge['id']}/decide", json={"status": "declined"})

    outcome = await service.payment_charged(command)

    assert isinstance(outcome, Declined)
    assert outcome.code == "review_failed"


async def test_a_free_order_is_charged_without_asking_the_provider(till: Till) -> None:
    command = a_charge(amount_minor=0, method=None)
    await till.conditions(available=False)

    outcome = await till.service().payment_charged(command)

    assert isinstance(outcome, Charged)
    assert outcome.provider_reference is None
    assert await till.at_the_provider("charges", command.order_id) == []


async def test_a_token_that_was_used_for_something_else_is_a_conflict(till: Till) -> None:
    command = a_charge()
    await till.service().payment_charged(command)

    with pytest.raises(ApplicationError) as error:
        await till.service().payment_charged(a_charge(token=command.payment_token))

    assert (error.value.type, error.value.non_retryable) == (PAYMENT_TOKEN_CONFLICT, True)


async def test_an_order_has_one_live_charge_whatever_the_token(till: Till) -> None:
    command = a_charge()
    await till.service().payment_charged(command)

    with pytest.raises(ApplicationError) as error:
        await till.service().payment_charged(
            a_charge(command.order_id, token=f"{command.order_id}:2")
        )

    assert error.value.type == PAYMENT_TOKEN_CONFLICT
    assert len(await till.taken(command.order_id)) == 1


async def test_after_a_decline_another_token_may_charge(till: Till) -> None:
    declined = a_charge(method="pm_declined")
    await till.service().payment_charged(declined)

    outcome = await till.service().payment_charged(
        a_charge(declined.order_id, token=f"{declined.order_id}:2")
    )

    assert isinstance(outcome, Charged)


async def test_while_one_attempt_has_the_lease_another_waits(till: Till) -> None:
    command = a_charge()
    repository = PaymentRepository(till.engine, timedelta(seconds=30))
    payment = await repository.claim(command)
    assert payment is not None
    assert await repository.take(payment) is not None

    with pytest.raises(ApplicationError) as error:
        await till.service().payment_charged(command)

    assert error.value.type == PAYMENT_IN_FLIGHT
    assert error.value.next_retry_delay is not None
    assert error.value.next_retry_delay > timedelta(seconds=20)


async def test_a_lease_that_ran_out_is_taken_over_and_its_old_holder_may_not_send(
    till: Till,
) -> None:
    repository = PaymentRepository(till.engine, timedelta(milliseconds=1))
    payment = await repository.claim(a_charge())
    assert payment is not None
    killed = await repository.take(payment)
    await asyncio.sleep(0.01)
    successor = await repository.take(payment)
    assert killed is not None
    assert successor is not None

    assert successor.fencing_token == killed.fencing_token + 1
    assert not await repository.mark_submitted(killed)


async def test_a_hint_settles_a_held_payment_and_leaves_any_other_alone(till: Till) -> None:
    held, other = a_charge(method="pm_under_review"), a_charge()
    service = till.service()
    with pytest.raises(ApplicationError):
        await service.payment_charged(held)
    await till.service().payment_charged(other)
    [charge] = await till.at_the_provider("charges", held.order_id)
    await till.http.post(f"/psp/charges/{charge['id']}/decide", json={"status": "charged"})

    first = RefreshPayment(payment_id=payment_id(held.payment_token))
    second = RefreshPayment(payment_id=payment_id(other.payment_token))
    nobody = RefreshPayment(payment_id=payment_id("nobody's token"))

    assert await till.events.refresh(first) == "charged"
    assert await till.events.refresh(second) == "charged"
    assert await till.events.refresh(nobody) == "unknown here"
    assert await till.kept_in_the_ledger(held.order_id) == 5997
