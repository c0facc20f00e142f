"""The protocol itself: what is committed before a request, and who may send one."""

import asyncio

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

from fuze_contracts.payment import (
    PAYMENT_IN_FLIGHT,
    PAYMENT_UNDER_REVIEW,
    Charged,
    Refunded,
)
from fuze_psp.provider import (
    ChargeLookup,
    ChargeRequest,
    NotFound,
    OperationResult,
    RefundRequest,
    UnderReview,
)
from fuze_psp.sandbox.provider import SandboxProvider


async def test_a_submission_is_committed_before_its_request_is_sent(
    harness: PaymentHarness,
) -> None:
    command, states = build_charge(), []

    class ReadsTheRow(SandboxProvider):
        async def charge(self, request: ChargeRequest) -> OperationResult:
            states.append(await harness.state(command.order_id))
            return await super().charge(request)

    provider = ReadsTheRow(harness.psp, harness.settings.psp_timeout)
    await harness.service_with(provider).payment_charged(command)

    assert states == ["submitted"]


async def test_a_holder_that_lost_its_lease_during_the_lookup_sends_no_request(
    harness: PaymentHarness,
) -> None:
    command = build_charge()
    await harness.set_faults(faults={"error": 1})
    with pytest.raises(ApplicationError):
        await harness.service().payment_charged(command)
    await harness.set_faults()

    class LosesTheLease(SandboxProvider):
        async def find_charge(self, lookup: ChargeLookup) -> OperationResult | NotFound:
            async with harness.engine.begin() as connection:
                await connection.execute(
                    sa.text(
                        "UPDATE payments.payments SET fencing_token = fencing_token + 1"
                        " WHERE id = :id"
                    ),
                    {"id": lookup.payment_id},
                )
            return NotFound()

    provider = LosesTheLease(harness.psp, harness.settings.psp_timeout)
    with pytest.raises(ApplicationError) as error:
        await harness.service_with(provider).payment_charged(command)

    assert error.value.type == PAYMENT_IN_FLIGHT
    assert await harness.list_at_provider("charges", command.order_id) == []


async def test_a_killed_attempt_is_continued_from_its_row(harness: PaymentHarness) -> None:
    command = build_charge()

    class Killed(SandboxProvider):
        async def charge(self, request: ChargeRequest) -> OperationResult:
            await super().charge(request)
            raise asyncio.CancelledError

    provider = Killed(harness.psp, harness.settings.psp_timeout)
    with pytest.raises(asyncio.CancelledError):
        await harness.service_with(provider, **SHORT_TIMEOUTS).payment_charged(command)
    assert await harness.state(command.order_id) == "submitted"

    service = harness.service()
    outcome = await retry_until_settled(lambda: service.payment_charged(command))

    assert isinstance(outcome, Charged)
    assert len(await harness.list_at_provider("charges", command.order_id)) == 1


async def test_a_refund_under_review_is_looked_up_until_it_is_decided(
    harness: PaymentHarness,
) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    refund = build_refund(charge, 1000)

    class ReviewsRefunds(SandboxProvider):
        async def refund(self, request: RefundRequest) -> OperationResult:
            await super().refund(request)
            return UnderReview(reference="re_pending")

    provider = ReviewsRefunds(harness.psp, harness.settings.psp_timeout)
    with pytest.raises(ApplicationError) as error:
        await harness.service_with(provider).payment_refunded(refund)

    assert error.value.type == PAYMENT_UNDER_REVIEW
    assert error.value.next_retry_delay == harness.settings.psp_review_poll_interval
    assert isinstance(await service.payment_refunded(refund), Refunded)
    assert len(await harness.list_at_provider("refunds", charge.order_id)) == 1
