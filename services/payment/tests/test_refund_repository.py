"""Refunds in PostgreSQL: never more than was taken, each written once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from till import a_charge

from fuze_payment.provider import Refused, Taken
from fuze_payment.refund_repository import RefundRepository
from fuze_payment.repository import PaymentRepository
from fuze_payment.rules import Payment, Refund, RefundState

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
    claimed = await repository.claim(a_charge())
    assert claimed is not None
    return await repository.settle(claimed, Taken(reference=f"ch_{uuid4()}"))


@pytest.fixture
def run(engine: AsyncEngine) -> Run:
    """Run a statement behind everybody's back, and return its rows if it has any."""

    async def ran(statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        async with engine.begin() as connection:
            result = await connection.execute(sa.text(statement), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    return ran


async def claim(refunds: RefundRepository, payment: Payment, amount_minor: int = 1000) -> Refund:
    refund = await refunds.claim(payment, uuid4(), amount_minor, "a test")
    assert refund is not None
    return refund


async def take(refunds: RefundRepository, refund: Refund) -> Refund:
    taken = await refunds.take(refund)
    assert taken is not None
    return taken


async def sent(refunds: RefundRepository, payment: Payment) -> Refund:
    taken = await take(refunds, await claim(refunds, payment))
    assert await refunds.mark_submitted(taken)
    return taken


async def set_aside(run: Run, payment: Payment) -> int:
    [[minor]] = await run(
        "SELECT refunded_minor FROM payments.payments WHERE id = :id", id=payment.id
    )
    return int(minor)


async def test_a_claim_is_a_row_with_everything_that_was_asked(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund_id = uuid4()

    refund = await refunds.claim(payment, refund_id, 1000, "broken")

    assert refund is not None
    assert (refund.id, refund.payment_id) == (refund_id, payment.id)
    assert (refund.amount_minor, refund.currency, refund.reason) == (1000, "USD", "broken")
    assert refund.charge_reference == payment.provider_reference
    assert refund.state is RefundState.CREATED
    assert (refund.provider_reference, refund.rejection_code) == (None, None)
    assert (refund.fencing_token, refund.key_age, refund.since_last_submitted) == (0, None, None)
    assert refund.lease_left == timedelta(0)


async def test_a_second_claim_finds_the_first_and_sets_nothing_more_aside(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    first = await claim(refunds, payment)

    again = await refunds.claim(payment, first.id, 2000, "another reason")

    assert again == first
    assert await set_aside(run, payment) == 1000


async def test_all_of_it_can_be_given_back_and_not_a_cent_more(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    await claim(refunds, payment, 5997)

    assert await refunds.claim(payment, uuid4(), 1, "greed") is None
    assert await set_aside(run, payment) == 5997


async def test_what_was_not_charged_is_not_given_back(
    refunds: RefundRepository, engine: AsyncEngine
) -> None:
    declined = await PaymentRepository(engine, _LEASE).claim(a_charge())
    assert declined is not None

    assert await refunds.claim(declined, uuid4(), 1, "a test") is None


async def test_claims_at_once_never_share_money(
    refunds: RefundRepository, payment: Payment
) -> None:
    claims = await asyncio.gather(
        *(refunds.claim(payment, uuid4(), 2000, "a test") for _ in range(5))
    )

    assert sum(one is not None for one in claims) == 2


async def test_a_claim_sets_nothing_aside_elsewhere(
    refunds: RefundRepository, payment: Payment, engine: AsyncEngine, run: Run
) -> None:
    repository = PaymentRepository(engine, _LEASE)
    other = await repository.claim(a_charge())
    assert other is not None
    await repository.settle(other, Taken(reference=f"ch_{uuid4()}"))

    await claim(refunds, payment)

    assert await set_aside(run, other) == 0


async def test_a_refusal_is_a_row_that_sets_nothing_aside(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    refund_id = uuid4()

    refund = await refunds.refuse(payment, refund_id, 9000, "greed")

    assert (refund.id, refund.payment_id) == (refund_id, payment.id)
    assert (refund.amount_minor, refund.reason) == (9000, "greed")
    assert (refund.state, refund.rejection_code) == (RefundState.REJECTED, "more_than_charged")
    assert await set_aside(run, payment) == 0


async def test_a_refusal_leaves_a_refund_that_is_there_alone(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await claim(refunds, payment)

    assert (await refunds.refuse(payment, refund.id, 1000, "late")).state is RefundState.CREATED


async def test_a_refund_is_found_by_its_id(refunds: RefundRepository, payment: Payment) -> None:
    refund = await claim(refunds, payment)

    assert await refunds.find(refund.id) == refund
    assert await refunds.find(uuid4()) is None


async def test_a_lease_is_had_by_one_at_a_time(refunds: RefundRepository, payment: Payment) -> None:
    refund = await claim(refunds, payment)

    takers = await asyncio.gather(*(refunds.take(refund) for _ in range(4)))

    [taken] = [one for one in takers if one]
    assert (taken.id, taken.fencing_token) == (refund.id, 1)
    assert timedelta(seconds=25) < taken.lease_left <= _LEASE


async def test_one_who_lost_the_lease_may_not_send(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    first = await take(refunds, await claim(refunds, payment))
    await run(
        "UPDATE payments.refunds SET lease_expires_at = now() - interval '1 s' WHERE id = :id",
        id=first.id,
    )
    second = await take(refunds, first)

    assert second.fencing_token == 2
    assert not await refunds.mark_submitted(first)
    assert await refunds.mark_submitted(second)


async def test_a_lease_that_is_given_back_can_be_taken_at_once(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await sent(refunds, payment)

    await refunds.give_back(refund, RefundState.UNKNOWN)

    again = await take(refunds, refund)
    assert again.state is RefundState.UNKNOWN
    assert again.key_age is not None


async def test_a_lease_given_back_without_news_leaves_the_state(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await sent(refunds, payment)

    await refunds.give_back(refund)

    assert (await take(refunds, refund)).state is RefundState.SUBMITTED


async def test_a_first_request_that_surely_did_nothing_counts_as_never_sent(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await sent(refunds, payment)

    await refunds.give_back_unsent(refund)

    again = await take(refunds, refund)
    assert (again.state, again.key_age) == (RefundState.CREATED, None)


async def test_a_later_request_that_did_nothing_does_not_undo_an_earlier_one(
    refunds: RefundRepository, payment: Payment
) -> None:
    refund = await sent(refunds, payment)
    await refunds.give_back(refund, RefundState.UNKNOWN)
    second = await take(refunds, refund)
    assert await refunds.mark_submitted(second)

    await refunds.give_back_unsent(second)

    third = await take(refunds, second)
    assert third.state is RefundState.SUBMITTED
    assert third.key_age is not None


async def test_a_refund_is_in_the_row_and_in_the_ledger_once(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    refund = await sent(refunds, payment)
    reference = f"re_{uuid4()}"

    settled, *_ = await asyncio.gather(
        *(refunds.settle(refund, Taken(reference=reference)) for _ in range(4))
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
    assert await set_aside(run, payment) == 1000


async def test_a_refused_refund_gives_back_what_was_set_aside_once(
    refunds: RefundRepository, payment: Payment, run: Run
) -> None:
    await claim(refunds, payment, 500)
    refund = await sent(refunds, payment)

    settled = await refunds.settle(refund, Refused(code="no_balance"))
    await refunds.settle(refund, Refused(code="no_balance"))

    assert (settled.state, settled.rejection_code) == (RefundState.REJECTED, "no_balance")
    assert settled.provider_reference is None
    assert await set_aside(run, payment) == 500
    posted = await run("SELECT 1 FROM payments.ledger_entries WHERE journal_id = :id", id=refund.id)
    assert posted == []


async def test_a_settled_refund_stays_as_it_is(refunds: RefundRepository, payment: Payment) -> None:
    refund = await sent(refunds, payment)
    await refunds.settle(refund, Taken(reference=f"re_{uuid4()}"))

    again = await refunds.settle(refund, Refused(code="late"))

    assert again.state is RefundState.REFUNDED
    assert await refunds.take(refund) is None
    assert not await refunds.mark_submitted(refund)


@pytest.mark.parametrize(
    "step",
    [
        lambda refunds, refund: refunds.take(refund),
        lambda refunds, refund: refunds.settle(refund, Refused(code="no")),
    ],
    ids=["take", "settle"],
)
async def test_each_step_says_when_it_was(
    refunds: RefundRepository,
    payment: Payment,
    run: Run,
    step: Callable[[RefundRepository, Refund], Awaitable[object]],
) -> None:
    refund = await sent(refunds, payment)
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


async def test_each_step_leaves_the_other_refunds_alone(
    refunds: RefundRepository, payment: Payment
) -> None:
    other, refund = await sent(refunds, payment), await sent(refunds, payment)

    await refunds.give_back(refund, RefundState.UNKNOWN)
    await refunds.settle(await take(refunds, refund), Taken(reference=f"re_{uuid4()}"))

    found = await refunds.find(other.id)
    assert found is not None
    assert (found.state, found.fencing_token) == (RefundState.SUBMITTED, 1)
    assert found.lease_left > timedelta(0)
