"""Voids: whatever happened to a charge, no money is kept."""

import asyncio

import pytest
from payment_harness import (
    PaymentHarness,
    build_charge,
    build_refund,
    build_void,
    retry_until_settled,
)
from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import Declined, Refunded, RefundRejected, Voided
from fuze_psp.provider import OperationResult, RefundRequest, Rejected
from fuze_psp.sandbox.provider import SandboxProvider


async def test_a_void_before_the_charge_prevents_it(
    harness: PaymentHarness,
) -> None:
    charge, service = build_charge(), harness.service()

    assert isinstance(await service.payment_voided(build_void(charge)), Voided)

    assert isinstance(await service.payment_charged(charge), Declined)
    assert await harness.list_at_provider("charges", charge.order_id) == []


async def test_a_void_refunds_the_whole_charge_once(harness: PaymentHarness) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)

    first = await service.payment_voided(build_void(charge))
    second = await service.payment_voided(build_void(charge))

    assert isinstance(first, Refunded)
    assert first == second
    assert len(await harness.list_at_provider("refunds", charge.order_id)) == 1
    assert await harness.provider_balance(charge.order_id) == 0


async def test_a_void_refunds_what_partial_refunds_left(harness: PaymentHarness) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    await service.payment_refunded(build_refund(charge, 1000))

    outcome = await service.payment_voided(build_void(charge))

    assert isinstance(outcome, Refunded)
    assert outcome.amount.amount_minor == 4997
    assert await harness.ledger_balance(charge.order_id) == 0


@pytest.mark.parametrize(
    "method", ["pm_response_dropped", "pm_delayed_commit", "pm_error_once", "pm_under_review"]
)
async def test_a_void_of_an_unknown_outcome_keeps_no_money(
    harness: PaymentHarness, method: str
) -> None:
    # Well within the settle window: what comes later, the reconciliation finds.
    await harness.set_faults(commit_delay_seconds=0.3)
    charge, service = build_charge(method=method), harness.service()
    with pytest.raises(ApplicationError):
        await service.payment_charged(charge)

    await retry_until_settled(lambda: service.payment_voided(build_void(charge)))

    assert await harness.provider_balance(charge.order_id) == 0
    assert await harness.ledger_balance(charge.order_id) == 0
    assert isinstance(await service.payment_charged(charge), Declined)


async def test_a_concurrent_charge_and_void_keep_no_money(harness: PaymentHarness) -> None:
    service = harness.service()
    charges = [build_charge() for _ in range(20)]

    await asyncio.gather(
        *(
            retry_until_settled(lambda charge=charge: service.payment_charged(charge))
            for charge in charges
        ),
        *(
            retry_until_settled(lambda one=one: service.payment_voided(build_void(one)))
            for one in charges
        ),
    )

    for charge in charges:
        assert await harness.provider_balance(charge.order_id) == 0
        assert await harness.ledger_balance(charge.order_id) == 0


class RejectsRefunds(SandboxProvider):
    """A provider that rejects every refund."""

    async def refund(self, request: RefundRequest) -> OperationResult:
        del request
        return Rejected(code="expired_or_canceled_card")


@pytest.mark.parametrize("amount_minor", [5997, 3000])
async def test_a_void_after_a_rejected_refund_refunds_everything(
    harness: PaymentHarness, amount_minor: int
) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    await harness.set_faults(faults={"error": 1.0})
    refund = build_refund(charge, amount_minor)
    with pytest.raises(ApplicationError):
        await service.payment_refunded(refund)
    await harness.set_faults()
    rejecting = harness.service_with(RejectsRefunds(harness.psp, harness.settings.psp_timeout))
    assert isinstance(
        await retry_until_settled(lambda: rejecting.payment_refunded(refund)), RefundRejected
    )

    outcome = await retry_until_settled(lambda: service.payment_voided(build_void(charge)))

    assert isinstance(outcome, Refunded)
    assert await harness.provider_balance(charge.order_id) == 0


@pytest.mark.parametrize("amount_minor", [5997, 3000])
async def test_a_void_completes_an_open_refund_first(
    harness: PaymentHarness, amount_minor: int
) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    await harness.set_faults(faults={"error": 1.0})
    refund = build_refund(charge, amount_minor)
    with pytest.raises(ApplicationError):
        await service.payment_refunded(refund)
    await harness.set_faults()

    outcome = await retry_until_settled(lambda: service.payment_voided(build_void(charge)))

    assert isinstance(outcome, Refunded)
    assert await harness.provider_balance(charge.order_id) == 0
    settled = await service.payment_refunded(refund)
    assert isinstance(settled, Refunded)


async def test_a_void_of_a_fully_refunded_payment_refunds_nothing_more(
    harness: PaymentHarness,
) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    earlier = [build_refund(charge, amount_minor) for amount_minor in (3000, 2997)]
    for refund in earlier:
        await service.payment_refunded(refund)

    outcome = await service.payment_voided(build_void(charge))

    assert isinstance(outcome, Refunded)
    assert outcome.amount.amount_minor == 0
    assert outcome.refund_id not in {refund.refund_id for refund in earlier}
