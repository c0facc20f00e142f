"""Refunds in PostgreSQL: never more than was acquired, each written once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from payment_harness import build_charge
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.money import Money
from fuze_contracts.payment import RefundPayment
from fuze_payment.domain import Payment, Refund, RefundState
from fuze_payment.payment_repository import PaymentRepository
from fuze_payment.refund_repository import RefundRepository
from fuze_psp.provider import Rejected, Succeeded, UnderReview

_LEASE = timedelta(seconds=30)

Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("payment")


@pytest.fixture
def refunds(engine: AsyncEngine) -> RefundRepository:
    return RefundRepository(engine, _LEASE)


@pytest.fixture
async def payment(engine: AsyncEngine) -> Payment:
    """A charged payment of 59.97 USD."""
    repository = PaymentRepository(engine, _LEASE)
    claimed = await repository.claim(build_charge())
    assert claimed is not None
    return await repository.settle(claimed.payment, Succeeded(reference=f"ch_{uuid4()}"))


@pytest.fixture
def run(engine: AsyncEngine) -> Run:
    """Run a statement directly, and return its rows if it has any."""

    async def ran(statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with engine.begin() as connection:
            result = await connection.execute(sa.text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    return ran


def build_command(
    payment: Payment, amount_minor: int, *, refund_id: UUID | None = None, reason: str = "a test"
) -> RefundPayment:
    return RefundPayment(
        order_id=payment.order_id,
        payment_token=payment.payment_token,
        refund_id=refund_id or uuid4(),
        amount=Money(amount_minor=amount_minor, currency=payment.currency),
        reason=reason,
        actor="grace",
    )


async def claim(refunds: RefundRepository, payment: Payment, amount_minor: int = 1000) -> Refund:
    refund = await refunds.claim(payment, build_command(payment, amount_minor))
    assert refund is not None
    return refund


async def acquire(refunds: RefundRepository, refund: Refund) -> Refund:
    acquired = await refunds.acquire(refund)
    assert acquired is not None
    return acquired


async def submitted(refunds: RefundRepository, payment: Payment) -> Refund:
    acquired = await acquire(refunds, await claim(refunds, payment))
    assert await refunds.mark_submitted(acquired)
    return acquired


async def reserved(run: Run, payment: Payment) -> int:
    [[minor]] = await run(
        "SELECT refunded_minor FROM payments.payments WHERE id = :id", id=payment.id
    )
    return int(minor)


async def test_a_claim_records_the_whole_command(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund_id = uuid4()

    refund = await refunds.claim(
        payment, build_command(payment, 1000, refund_id=refund_id, reason="broken")
    )

    assert refund is not None
    assert (refund.id, refund.payment_id) == (refund_id, payment.id)
    assert (refund.amount_minor, refund.currency) == (1000, "USD")
    assert (refund.reason, refund.actor) == ("broken", "grace")
    assert refund.charge_reference == payment.provider_reference
    assert refund.state is RefundState.CREATED
    assert (refund.provider_reference, refund.rejection_code) == (None, None)
    assert (refund.fencing_token, refund.key_age, refund.since_last_submitted) == (0, None, None)
    assert refund.lease_left == timedelta(0)


async def test_a_second_claim_returns_the_first_and_reserves_nothing_more(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    first = await claim(refunds, payment)

    again = await refunds.claim(payment, build_command(payment, 2000, refund_id=first.id))

    assert again == first
    assert await reserved(run, payment) == 1000


async def test_the_whole_charge_can_be_refunded_and_no_more(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    await claim(refunds, payment, 5997)

    assert await refunds.claim(payment, build_command(payment, 1)) is None
    assert await reserved(run, payment) == 5997


async def test_a_payment_that_was_not_charged_cannot_be_refunded(
    refunds: RefundRepository, engine: AsyncEngine
) -> None:
    claimed = await PaymentRepository(engine, _LEASE).claim(build_charge())
    assert claimed is not None
    declined = claimed.payment

    assert await refunds.claim(declined, build_command(declined, 1)) is None


async def test_concurrent_claims_never_share_money(
    refunds: RefundRepository, payment: Payment
) -> None:
    claims = await asyncio.gather(
        *(refunds.claim(payment, build_command(payment, 2000)) for _ in range(5))
    )

    assert sum(one is not None for one in claims) == 2


async def test_a_claim_reserves_nothing_of_another_payment(
    refunds: RefundRepository, payment: Payment, engine: AsyncEngine, run: Run
) -> None:
    repository = PaymentRepository(engine, _LEASE)
    claimed = await repository.claim(build_charge())
    assert claimed is not None
    other = await repository.settle(claimed.payment, Succeeded(reference=f"ch_{uuid4()}"))

    await claim(refunds, payment)

    assert await reserved(run, other) == 0


async def test_a_refusal_is_recorded_and_reserves_nothing(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    refund_id = uuid4()

    refund, _ = await refunds.reserve(
        payment, build_command(payment, 9000, refund_id=refund_id, reason="greed")
    )

    assert (refund.id, refund.payment_id) == (refund_id, payment.id)
    assert (refund.amount_minor, refund.reason, refund.actor) == (9000, "greed", "grace")
    assert (refund.state, refund.rejection_code) == (RefundState.REJECTED, "more_than_charged")
    assert await reserved(run, payment) == 0


async def test_a_refusal_stays_a_refusal_after_money_is_released(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    other = await submitted(refunds, payment)
    command = build_command(payment, 5997)
    await refunds.reserve(payment, command)
    await refunds.settle(other, Rejected(code="card_closed"))

    refund, _ = await refunds.reserve(payment, command)

    assert (refund.state, refund.is_reserved) == (RefundState.REJECTED, False)
    assert await reserved(run, payment) == 0


async def test_a_reserved_refund_that_the_provider_rejects_was_reserved(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await submitted(refunds, payment)

    settled = await refunds.settle(refund, Rejected(code="card_closed"))

    assert settled.is_reserved


async def test_a_reservation_does_not_change_an_existing_refund(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await claim(refunds, payment)

    found, _ = await refunds.reserve(payment, build_command(payment, 9000, refund_id=refund.id))

    assert found == refund


async def test_only_a_requested_refund_has_to_be_reported(
    refunds: RefundRepository, payment: Payment
) -> None:
    await claim(refunds, payment)
    await refunds.reserve(payment, build_command(payment, 9000))
    requested, _ = await refunds.reserve(payment, build_command(payment, 500))

    unreported = await refunds.list_unreported(timedelta(0))
    assert [one.id for one in unreported if one.payment_id == payment.id] == [requested.id]
    assert requested.id not in {one.id for one in await refunds.list_unreported(_LEASE)}

    await refunds.mark_reported(requested.id)
    assert requested.id not in {one.id for one in await refunds.list_unreported(timedelta(0))}


async def test_a_refund_is_found_by_its_id(refunds: RefundRepository, payment: Payment) -> None:
    refund = await claim(refunds, payment)

    assert await refunds.get(refund.id) == refund
    assert await refunds.get(uuid4()) is None


async def test_a_lease_has_one_holder_at_a_time(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await claim(refunds, payment)

    attempts = await asyncio.gather(*(refunds.acquire(refund) for _ in range(4)))

    [acquired] = [one for one in attempts if one]
    assert (acquired.id, acquired.fencing_token) == (refund.id, 1)
    assert timedelta(seconds=25) < acquired.lease_left <= _LEASE


async def test_a_holder_that_lost_the_lease_cannot_submit(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    first = await acquire(refunds, await claim(refunds, payment))
    await run(
        "UPDATE payments.refunds SET lease_expires_at = now() - interval '1 s' WHERE id = :id",
        id=first.id,
    )
    second = await acquire(refunds, first)

    assert second.fencing_token == 2
    assert not await refunds.mark_submitted(first)
    assert await refunds.mark_submitted(second)


async def test_a_released_lease_can_be_acquired_at_once(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await submitted(refunds, payment)

    await refunds.release_as_unknown(refund)

    again = await acquire(refunds, refund)
    assert again.state is RefundState.UNKNOWN
    assert again.key_age is not None


async def test_releasing_a_lease_keeps_the_state(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await submitted(refunds, payment)

    await refunds.release(refund)

    assert (await acquire(refunds, refund)).state is RefundState.SUBMITTED


async def test_a_first_request_without_effect_counts_as_never_submitted(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await submitted(refunds, payment)

    await refunds.release_not_attempted(refund)

    again = await acquire(refunds, refund)
    assert (again.state, again.key_age) == (RefundState.CREATED, None)


async def test_a_later_request_without_effect_does_not_discard_an_earlier_one(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await submitted(refunds, payment)
    await refunds.release_as_unknown(refund)
    second = await acquire(refunds, refund)
    assert await refunds.mark_submitted(second)

    await refunds.release_not_attempted(second)

    third = await acquire(refunds, second)
    assert third.state is RefundState.SUBMITTED
    assert third.key_age is not None


async def test_a_refund_is_recorded_once_in_the_row_and_the_ledger(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    refund = await submitted(refunds, payment)
    reference = f"re_{uuid4()}"

    settled, *_ = await asyncio.gather(
        *(refunds.settle(refund, Succeeded(reference=reference)) for _ in range(4))
    )

    assert (settled.state, settled.provider_reference) == (RefundState.REFUNDED, reference)
    assert settled.rejection_code is None
    assert settled.lease_left == timedelta(0)
    posted = await run(
        "SELECT payment_id, account, debit_minor, credit_minor, currency"
        " FROM payments.ledger_entries WHERE journal_id = :id ORDER BY account",
        id=refund.id,
    )
    assert posted == [
        (payment.id, "provider", 0, 1000, "USD"),
        (payment.id, "sales", 1000, 0, "USD"),
    ]
    assert await reserved(run, payment) == 1000


async def test_a_rejected_refund_releases_its_reservation_once(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    await claim(refunds, payment, 500)
    refund = await submitted(refunds, payment)

    settled = await refunds.settle(refund, Rejected(code="no_balance"))
    await refunds.settle(refund, Rejected(code="no_balance"))

    assert (settled.state, settled.rejection_code) == (RefundState.REJECTED, "no_balance")
    assert settled.provider_reference is None
    assert await reserved(run, payment) == 500
    posted = await run("SELECT 1 FROM payments.ledger_entries WHERE journal_id = :id", id=refund.id)
    assert posted == []


async def test_a_settled_refund_does_not_change(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await submitted(refunds, payment)
    await refunds.settle(refund, Succeeded(reference=f"re_{uuid4()}"))

    again = await refunds.settle(refund, Rejected(code="late"))

    assert again.state is RefundState.REFUNDED
    assert await refunds.acquire(refund) is None
    assert not await refunds.mark_submitted(refund)


@pytest.mark.parametrize(
    "step",
    [
        lambda refunds, refund: refunds.acquire(refund),
        lambda refunds, refund: refunds.settle(refund, Rejected(code="no")),
    ],
    ids=["take", "settle"],
)
async def test_each_step_records_its_time(
    refunds: RefundRepository,
    payment: Payment,
    run: Run,
    step: Callable[[RefundRepository, Refund], Awaitable[object]],
) -> None:
    refund = await submitted(refunds, payment)
    await run(
        "UPDATE payments.refunds SET updated_at = 'epoch', lease_expires_at = 'epoch' "
        "WHERE id = :id",
        id=refund.id,
    )

    await step(refunds, refund)

    [[year]] = await run(
        "SELECT extract(year FROM updated_at) FROM payments.refunds WHERE id = :id", id=refund.id
    )
    assert year > 2000


async def test_no_step_changes_another_refund(refunds: RefundRepository, payment: Payment) -> None:
    other, refund = await submitted(refunds, payment), await submitted(refunds, payment)

    await refunds.release_as_unknown(refund)
    await refunds.settle(await acquire(refunds, refund), Succeeded(reference=f"re_{uuid4()}"))

    found = await refunds.get(other.id)
    assert found is not None
    assert (found.state, found.fencing_token) == (RefundState.SUBMITTED, 1)
    assert found.lease_left > timedelta(0)


async def test_the_open_refunds_of_a_payment_are_listed_the_oldest_first(
    refunds: RefundRepository, payment: Payment, engine: AsyncEngine
) -> None:
    repository = PaymentRepository(engine, _LEASE)
    claimed = await repository.claim(build_charge())
    assert claimed is not None
    other = await repository.settle(claimed.payment, Succeeded(reference=f"ch_{uuid4()}"))
    first, settled, last = [await claim(refunds, payment) for _ in range(3)]
    await refunds.settle(settled, Rejected(code="no_balance"))
    await claim(refunds, other)

    listed = await refunds.list_open(payment.id)

    assert [one.id for one in listed] == [first.id, last.id]


async def test_a_refund_under_review_can_be_acquired_at_once(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await submitted(refunds, payment)

    await refunds.mark_under_review(refund, UnderReview(reference="re_pending"))

    again = await acquire(refunds, refund)
    assert (again.state, again.provider_reference) == (RefundState.UNKNOWN, None)
