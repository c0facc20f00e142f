"""Refunds: each once, and never more than was charged."""

import asyncio
from uuid import uuid4

import pytest
import sqlalchemy as sa
from payment_harness import (
    SHORT_TIMEOUTS,
    PaymentHarness,
    build_charge,
    build_refund,
    retry_until_settled,
)
from temporalio.exceptions import ApplicationError

from fuze_contracts.money import Money
from fuze_contracts.payment import (
    ChargePayment,
    Refunded,
    RefundPayment,
    RefundRejected,
    RefundReserved,
)
from fuze_contracts.refund_allocation import RefundLine, divide_order


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


def build_line_refund(
    charge: ChargePayment, *lines: tuple[str, int], include_shipping: bool = False
) -> RefundPayment:
    """Build a refund of an order of three units of 10.00 and one of 5.00, shipped for 4.90."""
    shares = divide_order(
        [{"quantity": 3, "unit_price_minor": 1000}, {"quantity": 1, "unit_price_minor": 500}],
        [
            {"kind": "shipping", "amount_minor": 490},
            {"kind": "discount", "amount_minor": 100},
        ],
    )
    return RefundPayment(
        order_id=charge.order_id,
        payment_token=charge.payment_token,
        refund_id=uuid4(),
        lines=tuple(RefundLine(line_id=line_id, quantity=count) for line_id, count in lines),
        include_shipping=include_shipping,
        shares=shares,
    )


async def test_two_refunds_of_600_of_1000_at_once_are_one_reservation_and_one_refusal(
    harness: PaymentHarness,
) -> None:
    charge, service = build_charge(amount_minor=1000), harness.service()
    await service.payment_charged(charge)

    decisions = await asyncio.gather(
        *(service.refund_reserved(build_refund(charge, 600)) for _ in range(2))
    )

    [reserved] = [one for one in decisions if isinstance(one, RefundReserved)]
    [refused] = [one for one in decisions if isinstance(one, RefundRejected)]
    assert reserved.amount.amount_minor == 600
    assert refused.code == "more_than_charged"
    assert refused.refundable == Money(amount_minor=400, currency="USD")


async def test_a_repeated_reservation_has_the_same_decision(harness: PaymentHarness) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    refund = build_refund(charge, 1000).model_copy(update={"fingerprint": "first"})

    first = await service.refund_reserved(refund)
    await service.payment_refunded(refund)
    again = await service.refund_reserved(refund.model_copy(update={"fingerprint": "another"}))

    assert first == again
    assert isinstance(again, RefundReserved)
    assert again.fingerprint == "first"


async def test_without_an_amount_everything_that_is_left_is_refunded(
    harness: PaymentHarness,
) -> None:
    charge, service = build_charge(amount_minor=1000), harness.service()
    await service.payment_charged(charge)
    await service.payment_refunded(build_refund(charge, 300))
    rest = build_refund(charge, 1).model_copy(update={"amount": None})

    outcome = await service.payment_refunded(rest)

    assert isinstance(outcome, Refunded)
    assert outcome.amount.amount_minor == 700
    again = await service.payment_refunded(rest.model_copy(update={"refund_id": uuid4()}))
    assert isinstance(again, RefundRejected)
    assert again.refundable == Money(amount_minor=0, currency="USD")
    assert await harness.provider_balance(charge.order_id) == 0


async def test_refunds_of_all_lines_and_of_shipping_sum_to_the_charge(
    harness: PaymentHarness,
) -> None:
    charge, service = build_charge(amount_minor=3890), harness.service()
    await service.payment_charged(charge)

    outcomes = [
        await service.payment_refunded(refund)
        for refund in (
            build_line_refund(charge, ("1", 1)),
            build_line_refund(charge, ("1", 2), ("2", 1)),
            build_line_refund(charge, include_shipping=True),
        )
    ]

    amounts = [one.amount.amount_minor for one in outcomes if isinstance(one, Refunded)]
    assert amounts == [972, 2428, 490]
    assert await harness.ledger_balance(charge.order_id) == 0


async def test_two_refunds_of_the_same_unit_at_once_are_one_reservation_and_one_refusal(
    harness: PaymentHarness,
) -> None:
    charge, service = build_charge(amount_minor=3890), harness.service()
    await service.payment_charged(charge)

    decisions = await asyncio.gather(
        *(service.refund_reserved(build_line_refund(charge, ("2", 1))) for _ in range(2))
    )

    [reserved] = [one for one in decisions if isinstance(one, RefundReserved)]
    [refused] = [one for one in decisions if isinstance(one, RefundRejected)]
    assert [(line.line_id, line.quantity) for line in reserved.lines] == [("2", 1)]
    assert (refused.code, refused.details) == ("more_than_ordered", "0 of line 2 can be refunded")


async def test_a_unit_whose_refund_failed_can_be_refunded_again(harness: PaymentHarness) -> None:
    charge, service = build_charge(amount_minor=3890), harness.service()
    await service.payment_charged(charge)
    await service.refund_reserved(failed := build_line_refund(charge, ("2", 1)))
    async with harness.engine.begin() as connection:
        await connection.execute(
            sa.text(
                "UPDATE payments.refunds SET state = 'rejected', rejection_code = 'card_closed',"
                " first_submitted_at = now() WHERE id = :refund_id"
            ),
            {"refund_id": failed.refund_id},
        )

    decision = await service.refund_reserved(build_line_refund(charge, ("2", 1)))

    assert isinstance(decision, RefundReserved)


async def test_a_line_that_cost_nothing_is_not_refunded(harness: PaymentHarness) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    free = build_line_refund(charge, ("1", 1)).model_copy(
        update={
            "shares": divide_order(
                [{"quantity": 1, "unit_price_minor": 0}, {"quantity": 3, "unit_price_minor": 1999}]
            )
        }
    )

    decision = await service.refund_reserved(free)

    assert isinstance(decision, RefundRejected)
    assert decision.code == "amount_invalid"
