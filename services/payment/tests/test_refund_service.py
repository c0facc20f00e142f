"""Money back, once, and never more than was taken."""

import asyncio
from uuid import uuid4

import pytest
from temporalio.exceptions import ApplicationError
from till import Till, a_charge, a_refund, a_void, insist

from fuze_contracts.payment import Charged, Declined, Refunded, RefundRejected, Voided
from fuze_payment.__main__ import wire
from fuze_payment.provider import RefundAnswer, Refused
from fuze_payment.provider.sandbox import SandboxProvider
from fuze_payment.rules import Refund


async def test_a_full_refund_leaves_nothing_anywhere(till: Till) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)

    outcome = await service.payment_refunded(a_refund(charge, 5997))

    assert isinstance(outcome, Refunded)
    assert await till.kept_at_the_provider(charge.order_id) == 0
    assert await till.kept_in_the_ledger(charge.order_id) == 0


async def test_a_repeated_refund_is_one_refund(till: Till) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)
    refund = a_refund(charge, 1000)

    outcomes = await asyncio.gather(
        *(insist(lambda: service.payment_refunded(refund)) for _ in range(20))
    )

    assert len(set(outcomes)) == 1
    assert await till.kept_at_the_provider(charge.order_id) == 4997
    assert await till.kept_in_the_ledger(charge.order_id) == 4997


async def test_two_refunds_of_the_same_amount_are_two(till: Till) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)

    for _ in range(2):
        await service.payment_refunded(a_refund(charge, 1000))

    assert await till.kept_at_the_provider(charge.order_id) == 3997


async def test_many_refunds_at_once_never_give_more_than_was_taken(till: Till) -> None:
    charge, service = a_charge(amount_minor=1000), till.service()
    await service.payment_charged(charge)
    refunds = [a_refund(charge, 300) for _ in range(10)]

    outcomes = await asyncio.gather(
        *(insist(lambda refund=refund: service.payment_refunded(refund)) for refund in refunds)
    )

    assert sum(isinstance(one, Refunded) for one in outcomes) == 3
    refused = [one.code for one in outcomes if isinstance(one, RefundRejected)]
    assert refused == ["more_than_charged"] * 7
    assert await till.kept_at_the_provider(charge.order_id) == 100
    assert await till.kept_in_the_ledger(charge.order_id) == 100


@pytest.mark.parametrize("fault", ["response_dropped", "error_once", "rate_limited", "slow"])
async def test_whatever_goes_wrong_on_the_way_a_refund_is_made_once(till: Till, fault: str) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)
    await till.conditions(faults={fault: 1})
    refund = a_refund(charge, 1000)
    with pytest.raises(ApplicationError):
        await service.payment_refunded(refund)
    if fault == "slow":
        await till.conditions()

    assert isinstance(await insist(lambda: service.payment_refunded(refund)), Refunded)
    assert await till.kept_at_the_provider(charge.order_id) == 4997
    assert await till.kept_in_the_ledger(charge.order_id) == 4997


@pytest.mark.parametrize("method", ["pm_declined", None])
async def test_what_was_not_charged_is_not_refunded(till: Till, method: str | None) -> None:
    charge, service = a_charge(method=method), till.service()
    if method:
        await service.payment_charged(charge)

    outcome = await service.payment_refunded(a_refund(charge, 100))

    assert isinstance(outcome, RefundRejected)
    assert outcome.code == "not_charged"


async def test_a_void_before_anyone_charged_keeps_everyone_from_charging(till: Till) -> None:
    charge, service = a_charge(), till.service()

    assert isinstance(await service.payment_voided(a_void(charge)), Voided)

    assert isinstance(await service.payment_charged(charge), Declined)
    assert await till.at_the_provider("charges", charge.order_id) == []


async def test_a_void_of_a_charge_gives_all_of_it_back_once(till: Till) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)

    first = await service.payment_voided(a_void(charge))
    second = await service.payment_voided(a_void(charge))

    assert isinstance(first, Refunded)
    assert first == second
    assert len(await till.at_the_provider("refunds", charge.order_id)) == 1
    assert await till.kept_at_the_provider(charge.order_id) == 0


async def test_a_void_gives_back_what_partial_refunds_left(till: Till) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)
    await service.payment_refunded(a_refund(charge, 1000))

    outcome = await service.payment_voided(a_void(charge))

    assert isinstance(outcome, Refunded)
    assert outcome.amount.amount_minor == 4997
    assert await till.kept_in_the_ledger(charge.order_id) == 0


@pytest.mark.parametrize(
    "method", ["pm_response_dropped", "pm_delayed_commit", "pm_error_once", "pm_under_review"]
)
async def test_a_void_while_the_outcome_is_open_ends_refunded_or_never_charged(
    till: Till, method: str
) -> None:
    charge, service = a_charge(method=method), till.service()
    with pytest.raises(ApplicationError):
        await service.payment_charged(charge)

    await insist(lambda: service.payment_voided(a_void(charge)))

    assert await till.kept_at_the_provider(charge.order_id) == 0
    assert await till.kept_in_the_ledger(charge.order_id) == 0
    assert isinstance(await service.payment_charged(charge), Declined)


async def test_charge_and_void_at_the_same_time_keep_nothing(till: Till) -> None:
    service = till.service()
    charges = [a_charge() for _ in range(20)]

    await asyncio.gather(
        *(insist(lambda charge=charge: service.payment_charged(charge)) for charge in charges),
        *(insist(lambda one=one: service.payment_voided(a_void(one))) for one in charges),
    )

    for charge in charges:
        assert await till.kept_at_the_provider(charge.order_id) == 0
        assert await till.kept_in_the_ledger(charge.order_id) == 0


async def test_what_is_taken_after_it_was_let_go_of_is_given_back(till: Till) -> None:
    charge, service = a_charge(), till.service()
    await till.conditions(faults={"delayed_commit": 1}, late_by_seconds=1)
    with pytest.raises(ApplicationError):
        await service.payment_charged(charge)
    impatient = till.service(psp_settle_window=till.settings.psp_settle_window / 20)
    assert isinstance(await insist(lambda: impatient.payment_voided(a_void(charge))), Voided)
    await till.until_taken(charge.order_id)

    # Nobody asks for it any more; whoever looks finds it and gives it back.
    payment = await service._charging._repository.find(charge.payment_token)
    assert payment is not None
    answer = await service._charging._provider.find_charge(payment)
    settled = await service._charging._repository.settle(payment, answer)
    await till.conditions()
    await insist(lambda: service._refunding.give_back_all(settled, "late"))

    assert await till.kept_at_the_provider(charge.order_id) == 0
    assert not isinstance(await service.payment_charged(charge), Charged)


async def test_a_refund_of_an_order_that_is_not_the_tokens_is_refused(till: Till) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)
    other = a_refund(charge, 100).model_copy(update={"order_id": uuid4()})

    assert isinstance(await service.payment_refunded(other), RefundRejected)


class RefusesRefunds(SandboxProvider):
    """A provider that gives nothing back."""

    async def refund(self, refund: Refund) -> RefundAnswer:
        del refund
        return Refused(code="expired_or_canceled_card")


@pytest.mark.parametrize("amount_minor", [5997, 3000])
async def test_a_void_waits_for_a_refund_that_may_still_be_refused(
    till: Till, amount_minor: int
) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)
    await till.conditions(faults={"error": 1.0})
    refund = a_refund(charge, amount_minor)
    with pytest.raises(ApplicationError):
        await service.payment_refunded(refund)
    await till.conditions()
    refusing, _, _ = wire(till.settings, till.engine, RefusesRefunds(till.clients[0], timeout=1))
    assert isinstance(await insist(lambda: refusing.payment_refunded(refund)), RefundRejected)

    outcome = await insist(lambda: service.payment_voided(a_void(charge)))

    assert isinstance(outcome, Refunded)
    assert await till.kept_at_the_provider(charge.order_id) == 0


@pytest.mark.parametrize("amount_minor", [5997, 3000])
async def test_a_void_sees_a_refund_under_way_to_its_end_first(
    till: Till, amount_minor: int
) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)
    await till.conditions(faults={"error": 1.0})
    refund = a_refund(charge, amount_minor)
    with pytest.raises(ApplicationError):
        await service.payment_refunded(refund)
    await till.conditions()

    outcome = await insist(lambda: service.payment_voided(a_void(charge)))

    assert isinstance(outcome, Refunded)
    assert await till.kept_at_the_provider(charge.order_id) == 0
    settled = await service.payment_refunded(refund)
    assert isinstance(settled, Refunded)


async def test_a_void_of_what_was_refunded_in_full_says_that_it_was_given_back(till: Till) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)
    await service.payment_refunded(a_refund(charge, 3000))
    await service.payment_refunded(a_refund(charge, 2997))

    outcome = await service.payment_voided(a_void(charge))

    assert isinstance(outcome, Refunded)
    assert outcome.amount == charge.amount
