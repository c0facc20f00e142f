"""Refunds: each once, and never more than was charged."""

import asyncio
from uuid import uuid4

import pytest
from payment_harness import (
    SHORT_TIMEOUTS,
    PaymentHarness,
    build_charge,
    build_refund,
    retry_until_settled,
)
from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import Refunded, RefundRejected


async def test_a_full_refund_leaves_no_balance(harness: PaymentHarness) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)

    outcome = await service.payment_refunded(build_refund(charge, 5997))

    assert isinstance(outcome, Refunded)
    assert await harness.provider_balance(charge.order_id) == 0
    assert await harness.ledger_balance(charge.order_id) == 0


async def test_a_repeated_refund_is_one_refund(harness: PaymentHarness) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    refund = build_refund(charge, 1000)

    outcomes = await asyncio.gather(
        *(retry_until_settled(lambda: service.payment_refunded(refund)) for _ in range(20))
    )

    assert len(set(outcomes)) == 1
    assert await harness.provider_balance(charge.order_id) == 4997
    assert await harness.ledger_balance(charge.order_id) == 4997


async def test_two_refunds_of_the_same_amount_are_both_executed(harness: PaymentHarness) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)

    for _ in range(2):
        await service.payment_refunded(build_refund(charge, 1000))

    assert await harness.provider_balance(charge.order_id) == 3997


async def test_concurrent_refunds_never_exceed_the_charge(harness: PaymentHarness) -> None:
    charge, service = build_charge(amount_minor=1000), harness.service()
    await service.payment_charged(charge)
    refunds = [build_refund(charge, 300) for _ in range(10)]

    outcomes = await asyncio.gather(
        *(
            retry_until_settled(lambda refund=refund: service.payment_refunded(refund))
            for refund in refunds
        )
    )

    assert sum(isinstance(one, Refunded) for one in outcomes) == 3
    rejected = [one.code for one in outcomes if isinstance(one, RefundRejected)]
    assert rejected == ["more_than_charged"] * 7
    assert await harness.provider_balance(charge.order_id) == 100
    assert await harness.ledger_balance(charge.order_id) == 100


@pytest.mark.parametrize("fault", ["response_dropped", "error_once", "rate_limited", "slow"])
async def test_a_refund_is_executed_once_in_spite_of_a_fault(
    harness: PaymentHarness, fault: str
) -> None:
    charge = build_charge()
    await harness.service().payment_charged(charge)
    service = harness.service(**(SHORT_TIMEOUTS if fault == "slow" else {}))
    await harness.set_faults(faults={fault: 1})
    refund = build_refund(charge, 1000)
    with pytest.raises(ApplicationError):
        await service.payment_refunded(refund)
    if fault == "slow":
        await harness.set_faults()

    assert isinstance(await retry_until_settled(lambda: service.payment_refunded(refund)), Refunded)
    assert await harness.provider_balance(charge.order_id) == 4997
    assert await harness.ledger_balance(charge.order_id) == 4997


@pytest.mark.parametrize("method", ["pm_declined", None])
async def test_a_payment_that_was_not_charged_is_not_refunded(
    harness: PaymentHarness, method: str | None
) -> None:
    charge, service = build_charge(method=method), harness.service()
    if method:
        await service.payment_charged(charge)

    outcome = await service.payment_refunded(build_refund(charge, 100))

    assert isinstance(outcome, RefundRejected)
    assert outcome.code == "not_charged"


async def test_a_refund_for_another_order_is_rejected(
    harness: PaymentHarness,
) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    other = build_refund(charge, 100).model_copy(update={"order_id": uuid4()})

    assert isinstance(await service.payment_refunded(other), RefundRejected)
