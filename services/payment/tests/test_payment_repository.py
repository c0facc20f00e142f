"""Payments in PostgreSQL: leases, results that are recorded once, lookups."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from payment_harness import build_charge, build_void
from sqlalchemy.ext.asyncio import AsyncEngine

from fuze_contracts.payment import ChargePayment
from fuze_payment.domain import Payment, PaymentState, payment_id
from fuze_payment.payment_repository import PaymentRepository
from fuze_psp.provider import Rejected, Succeeded, UnderReview

_LEASE = timedelta(seconds=30)

Change = Callable[..., Awaitable[None]]


@pytest.fixture
def engine(engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    return engine_of("payment")


@pytest.fixture
def repository(engine: AsyncEngine) -> PaymentRepository:
    return PaymentRepository(engine, _LEASE)


@pytest.fixture
def change(engine: AsyncEngine) -> Change:
    """Change columns of a payment directly: as if time had passed, or a holder was killed."""

    async def changed(payment: Payment, assignments: str) -> None:
        statement = f"UPDATE payments.payments SET {assignments} WHERE id = :id"  # noqa: S608 - ours
        async with engine.begin() as connection:
            await connection.execute(sa.text(statement), {"id": payment.id})

    return changed


@pytest.fixture
def column(engine: AsyncEngine) -> Callable[[Payment, str], Awaitable[Any]]:
    async def read(payment: Payment, name: str) -> Any:  # noqa: ANN401 - a column's value
        statement = f"SELECT {name} FROM payments.payments WHERE id = :id"  # noqa: S608 - ours
        async with engine.connect() as connection:
            return (await connection.execute(sa.text(statement), {"id": payment.id})).scalar_one()

    return read


@pytest.fixture
def postings(engine: AsyncEngine) -> Callable[[Payment], Awaitable[list[tuple[str, int, int]]]]:
    async def read(payment: Payment) -> list[tuple[str, int, int]]:
        statement = (
            "SELECT account, debit_minor, credit_minor FROM payments.ledger_entries"
            " WHERE payment_id = :id AND journal_id = :id ORDER BY account"
        )
        async with engine.connect() as connection:
            rows = await connection.execute(sa.text(statement), {"id": payment.id})
            return [(row[0], row[1], row[2]) for row in rows]

    return read


async def claim(repository: PaymentRepository, command: ChargePayment | None = None) -> Payment:
    claimed = await repository.claim(command or build_charge())
    assert claimed is not None
    return claimed.payment


async def created(repository: PaymentRepository, command: ChargePayment | None = None) -> Payment:
    """A payment whose one request had no effect: nothing is submitted, and its lease is free."""
    claimed = await claim(repository, command)
    await repository.release_not_attempted(claimed)
    payment = await repository.get(claimed.id)
    assert payment is not None
    return payment


async def acquire(repository: PaymentRepository, payment: Payment) -> Payment:
    acquired = await repository.acquire(payment)
    assert acquired is not None
    return acquired


async def submitted(repository: PaymentRepository, command: ChargePayment | None = None) -> Payment:
    """A payment whose request was submitted."""
    acquired = await acquire(repository, await created(repository, command))
    assert await repository.mark_submitted(acquired)
    return acquired


async def test_a_claim_records_the_whole_command(
    repository: PaymentRepository,
) -> None:
    command = build_charge(amount_minor=123)

    payment = await claim(repository, command)

    assert payment.id == payment_id(command.order_id, command.payment_token)
    assert (payment.payment_token, payment.order_id) == (command.payment_token, command.order_id)
    assert (payment.amount_minor, payment.currency) == (123, "USD")
    assert payment.payment_method == "pm_card_visa"
    assert payment.state is PaymentState.SUBMITTED
    assert not payment.void_requested
    assert (payment.fencing_token, payment.refunded_minor) == (1, 0)
    assert (payment.provider_reference, payment.decline_code) == (None, None)
    assert (payment.key_age, payment.since_last_submitted) == (None, None)
    assert timedelta(seconds=25) < payment.lease_left <= _LEASE


async def test_of_many_claims_at_once_one_holds_the_lease(repository: PaymentRepository) -> None:
    command = build_charge()

    claims = await asyncio.gather(*(repository.claim(command) for _ in range(4)))

    assert sorted(one.is_new for one in claims if one) == [False, False, False, True]
    assert await repository.acquire(await claim(repository, command)) is None


async def test_a_second_claim_returns_the_first_with_the_age_of_its_key(
    repository: PaymentRepository,
) -> None:
    command = build_charge()
    first = await claim(repository, command)

    again = await repository.claim(command.model_copy(update={"payment_method": "pm_other"}))

    assert again is not None
    assert not again.is_new
    assert (again.payment.id, again.payment.payment_method) == (first.id, "pm_card_visa")
    assert again.payment.key_age is not None


async def test_an_order_has_one_live_charge(repository: PaymentRepository) -> None:
    command = build_charge()
    await claim(repository, command)

    other = build_charge(command.order_id, token=f"{command.order_id}:2")

    assert await repository.claim(other) is None


async def test_after_a_decline_the_order_can_have_another_charge(
    repository: PaymentRepository,
) -> None:
    command = build_charge()
    payment = await submitted(repository, command)
    await repository.settle(payment, Rejected(code="card_declined"))

    other = build_charge(command.order_id, token=f"{command.order_id}:2")

    assert await repository.claim(other) is not None


async def test_a_payment_is_found_by_its_token_and_by_its_id(
    repository: PaymentRepository,
) -> None:
    payment = await created(repository)

    by_token = await repository.find(payment.order_id, payment.payment_token)
    by_id = await repository.get(payment.id)

    assert by_token is not None
    assert by_id is not None
    assert by_token.id == by_id.id == payment.id


async def test_an_unknown_payment_is_not_found(repository: PaymentRepository) -> None:
    assert await repository.find(uuid4(), "no such token") is None
    assert await repository.get(uuid4()) is None


async def test_a_lease_has_one_holder_at_a_time(repository: PaymentRepository) -> None:
    payment = await created(repository)

    attempts = await asyncio.gather(*(repository.acquire(payment) for _ in range(4)))

    [acquired] = [one for one in attempts if one]
    assert acquired.fencing_token == 2
    assert timedelta(seconds=25) < acquired.lease_left <= _LEASE


async def test_an_expired_lease_is_acquired_with_a_higher_fencing_token(
    repository: PaymentRepository, change: Change
) -> None:
    acquired = await acquire(repository, await created(repository))
    await change(acquired, "lease_expires_at = now() - interval '1 second'")

    assert (await acquire(repository, acquired)).fencing_token == acquired.fencing_token + 1


async def test_a_holder_that_lost_the_lease_cannot_submit(
    repository: PaymentRepository, change: Change
) -> None:
    first = await acquire(repository, await created(repository))
    await change(first, "lease_expires_at = now() - interval '1 second'")
    second = await acquire(repository, first)

    assert not await repository.mark_submitted(first)
    assert await repository.mark_submitted(second)


async def test_a_holder_whose_lease_expired_cannot_submit_even_without_a_successor(
    repository: PaymentRepository, change: Change
) -> None:
    acquired = await acquire(repository, await created(repository))
    await change(acquired, "lease_expires_at = now() - interval '1 second'")

    assert not await repository.mark_submitted(acquired)


async def test_a_submission_is_recorded_with_its_time(repository: PaymentRepository) -> None:
    payment = await submitted(repository)

    found = await repository.get(payment.id)

    assert found is not None
    assert found.state is PaymentState.SUBMITTED
    assert found.key_age is not None
    assert found.since_last_submitted is not None
    assert timedelta(0) <= found.since_last_submitted <= found.key_age < timedelta(seconds=20)


async def test_a_second_request_does_not_change_the_age_of_the_key(
    repository: PaymentRepository, change: Change
) -> None:
    payment = await submitted(repository)
    await change(
        payment,
        "first_submitted_at = now() - interval '1 hour', last_submitted_at = first_submitted_at",
    )

    assert await repository.mark_submitted(payment)

    found = await repository.get(payment.id)
    assert found is not None
    assert found.key_age is not None
    assert found.since_last_submitted is not None
    assert found.key_age > timedelta(minutes=59)
    assert found.since_last_submitted < timedelta(minutes=1)


async def test_a_settled_payment_is_neither_acquired_nor_submitted(
    repository: PaymentRepository,
) -> None:
    payment = await submitted(repository)
    await repository.settle(payment, Succeeded(reference=f"ch_{uuid4()}"))

    assert await repository.acquire(payment) is None
    assert not await repository.mark_submitted(payment)


async def test_a_released_lease_can_be_acquired_at_once(
    repository: PaymentRepository,
) -> None:
    payment = await submitted(repository)

    await repository.release_as_unknown(payment)

    again = await acquire(repository, payment)
    assert again.state is PaymentState.UNKNOWN
    assert again.since_last_submitted is not None


async def test_releasing_a_lease_keeps_the_state(
    repository: PaymentRepository,
) -> None:
    payment = await submitted(repository)

    await repository.release(payment)

    assert (await acquire(repository, payment)).state is PaymentState.SUBMITTED


async def test_a_holder_that_lost_the_lease_changes_nothing(
    repository: PaymentRepository, change: Change
) -> None:
    first = await submitted(repository)
    await change(first, "lease_expires_at = now() - interval '1 second'")
    second = await acquire(repository, first)

    await repository.release_as_unknown(first)
    await repository.release_not_attempted(first)

    found = await repository.get(second.id)
    assert found is not None
    assert found.state is PaymentState.SUBMITTED
    assert found.lease_left > timedelta(0)


async def test_a_first_request_without_effect_counts_as_never_submitted(
    repository: PaymentRepository,
) -> None:
    payment = await submitted(repository)  # as it was when the lease was acquired: nothing sent

    await repository.release_not_attempted(payment)

    again = await acquire(repository, payment)
    assert again.state is PaymentState.CREATED
    assert (again.key_age, again.since_last_submitted) == (None, None)


async def test_a_later_request_without_effect_does_not_discard_an_earlier_one(
    repository: PaymentRepository,
) -> None:
    payment = await submitted(repository)
    await repository.release_as_unknown(payment)
    second = await acquire(repository, payment)
    assert await repository.mark_submitted(second)

    await repository.release_not_attempted(second)

    third = await acquire(repository, second)
    assert third.state is PaymentState.SUBMITTED
    assert third.key_age is not None


async def test_a_payment_under_review_can_be_acquired_at_once(
    repository: PaymentRepository,
) -> None:
    payment = await submitted(repository)

    reference = f"ch_{uuid4()}"

    await repository.mark_under_review(payment, UnderReview(reference=reference))

    again = await acquire(repository, payment)
    assert (again.state, again.provider_reference) == (PaymentState.UNDER_REVIEW, reference)


async def test_a_failed_lookup_leaves_a_payment_under_review(
    repository: PaymentRepository,
) -> None:
    payment = await submitted(repository)
    await repository.mark_under_review(payment, UnderReview(reference=f"ch_{uuid4()}"))
    reviewed = await acquire(repository, payment)

    await repository.release_as_unknown(reviewed)

    assert (await acquire(repository, reviewed)).state is PaymentState.UNDER_REVIEW


async def test_a_settled_payment_does_not_return_to_review(repository: PaymentRepository) -> None:
    payment = await submitted(repository)
    await repository.settle(payment, Rejected(code="fraud"))

    await repository.mark_under_review(payment, UnderReview(reference="ch_late"))

    found = await repository.get(payment.id)
    assert found is not None
    assert (found.state, found.provider_reference) == (PaymentState.DECLINED, None)


async def test_a_capture_is_recorded_in_the_row_and_the_ledger(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await submitted(repository)
    reference = f"ch_{uuid4()}"

    settled = await repository.settle(payment, Succeeded(reference=reference))

    assert (settled.state, settled.provider_reference) == (PaymentState.CHARGED, reference)
    assert settled.decline_code is None
    assert settled.lease_left == timedelta(0)
    assert await postings(payment) == [("provider", 5997, 0), ("sales", 0, 5997)]


async def test_a_capture_that_is_settled_repeatedly_is_posted_once(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await submitted(repository)
    reference = f"ch_{uuid4()}"

    await asyncio.gather(
        *(repository.settle(payment, Succeeded(reference=reference)) for _ in range(4))
    )

    assert len(await postings(payment)) == 2


async def test_a_decline_is_final_and_posts_nothing(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await submitted(repository)
    reference = f"ch_{uuid4()}"

    settled = await repository.settle(payment, Rejected(code="fraud", reference=reference))
    again = await repository.settle(payment, Succeeded(reference="ch_other"))

    assert settled.state is again.state is PaymentState.DECLINED
    assert (again.decline_code, again.provider_reference) == ("fraud", reference)
    assert await postings(payment) == []


async def test_a_charged_payment_is_not_declined_later(repository: PaymentRepository) -> None:
    payment = await submitted(repository)
    await repository.settle(payment, Succeeded(reference=f"ch_{uuid4()}"))

    assert (await repository.settle(payment, Rejected(code="late"))).state is PaymentState.CHARGED


async def test_a_definite_result_is_accepted_without_the_lease(
    repository: PaymentRepository, change: Change
) -> None:
    first = await submitted(repository)
    await change(first, "lease_expires_at = now() - interval '1 second'")
    await acquire(repository, first)

    settled = await repository.settle(first, Succeeded(reference=f"ch_{uuid4()}"))

    assert settled.state is PaymentState.CHARGED


async def test_a_free_payment_is_charged_without_reference_or_ledger_entry(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await claim(repository, build_charge(amount_minor=0))

    assert (payment.state, payment.provider_reference) == (PaymentState.CHARGED, None)
    assert payment.lease_left == timedelta(0)
    assert await postings(payment) == []


async def test_a_free_payment_that_was_voided_stays_voided(repository: PaymentRepository) -> None:
    charge = build_charge(amount_minor=0)
    await repository.request_void(build_void(charge))

    assert (await claim(repository, charge)).state is PaymentState.VOIDED


async def test_a_capture_of_an_unsubmitted_payment_counts_as_submitted(
    repository: PaymentRepository,
) -> None:
    payment = await created(repository)

    settled = await repository.settle(payment, Succeeded(reference=f"ch_{uuid4()}"))

    assert settled.key_age is not None


async def test_a_charge_that_was_never_claimed_is_voided_at_once(
    repository: PaymentRepository,
) -> None:
    charge = build_charge()

    payment = await repository.request_void(build_void(charge))

    assert (payment.state, payment.void_requested) == (PaymentState.VOIDED, True)
    assert (await created(repository, charge)).state is PaymentState.VOIDED


async def test_a_claim_that_was_never_submitted_is_voided_at_once(
    repository: PaymentRepository,
) -> None:
    charge = build_charge()
    payment = await acquire(repository, await created(repository, charge))

    void_requested = await repository.request_void(build_void(charge))

    assert (void_requested.state, void_requested.void_requested) == (PaymentState.VOIDED, True)
    assert not await repository.mark_submitted(payment)


@pytest.mark.parametrize("state", ["submitted", "unknown", "under_review"])
async def test_a_void_of_a_submitted_charge_is_requested_and_leaves_it_open(
    repository: PaymentRepository, change: Change, state: str
) -> None:
    charge = build_charge()
    payment = await submitted(repository, charge)
    await change(payment, f"state = '{state}'")

    void_requested = await repository.request_void(build_void(charge))

    assert (void_requested.state, void_requested.void_requested) == (state, True)


@pytest.mark.parametrize(
    "other",
    [
        {"amount": build_charge(amount_minor=1).amount},
        {"amount": build_charge().amount.model_copy(update={"currency": "EUR"})},
    ],
)
async def test_a_void_of_another_charge_changes_nothing(
    repository: PaymentRepository, other: dict[str, Any]
) -> None:
    charge = build_charge()
    await submitted(repository, charge)

    found = await repository.request_void(build_void(charge.model_copy(update=other)))

    assert not found.void_requested


async def test_a_void_changes_no_other_payment(repository: PaymentRepository) -> None:
    other = await submitted(repository)

    await repository.request_void(build_void(build_charge(token=other.payment_token)))

    found = await repository.get(other.id)
    assert found is not None
    assert not found.void_requested


async def test_a_token_is_voided_beside_another_live_charge_of_its_order(
    repository: PaymentRepository,
) -> None:
    charge = build_charge()
    await submitted(repository, charge)
    other = build_charge(charge.order_id, token=f"{charge.order_id}:2")

    void_requested = await repository.request_void(build_void(other))

    assert (void_requested.payment_token, void_requested.state) == (
        other.payment_token,
        PaymentState.VOIDED,
    )


async def test_a_void_closes_an_open_payment(repository: PaymentRepository, change: Change) -> None:
    payment = await submitted(repository)
    await change(payment, "provider_reference = id::text, state = 'under_review'")

    voided = await repository.void(payment)

    assert (voided.state, voided.void_requested) == (PaymentState.VOIDED, True)
    assert voided.provider_reference is None
    assert voided.lease_left == timedelta(0)


async def test_a_settled_payment_is_not_voided(repository: PaymentRepository) -> None:
    payment = await submitted(repository)
    await repository.settle(payment, Succeeded(reference=f"ch_{uuid4()}"))

    voided = await repository.void(payment)

    assert (voided.state, voided.void_requested) == (PaymentState.CHARGED, False)


async def test_a_late_capture_of_a_voided_payment_is_recorded_with_the_void_request(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await submitted(repository)
    await repository.void(payment)

    settled = await repository.settle(payment, Succeeded(reference=f"ch_{uuid4()}"))

    assert (settled.state, settled.void_requested) == (PaymentState.CHARGED, True)
    assert len(await postings(payment)) == 2


async def test_a_late_decline_of_a_voided_payment_leaves_it_voided(
    repository: PaymentRepository,
) -> None:
    payment = await submitted(repository)
    await repository.void(payment)

    assert (await repository.settle(payment, Rejected(code="late"))).state is PaymentState.VOIDED


@pytest.mark.parametrize(
    "step",
    [
        lambda repository, payment: repository.acquire(payment),
        lambda repository, payment: repository.request_void(
            build_void(build_charge(payment.order_id, token=payment.payment_token))
        ),
        lambda repository, payment: repository.void(payment),
        lambda repository, payment: repository.mark_under_review(
            payment, UnderReview(reference=f"ch_{uuid4()}")
        ),
        lambda repository, payment: repository.settle(payment, Rejected(code="fraud")),
    ],
    ids=["take", "void_requested", "void", "hold", "settle"],
)
async def test_each_step_records_its_time(
    repository: PaymentRepository,
    change: Change,
    column: Callable[..., Any],
    step: Callable[[PaymentRepository, Payment], Awaitable[object]],
) -> None:
    payment = await submitted(repository)
    await change(payment, "updated_at = 'epoch', lease_expires_at = 'epoch'")

    await step(repository, payment)

    assert (await column(payment, "updated_at")).year > 2000


async def test_no_step_changes_another_payment(repository: PaymentRepository) -> None:
    other, payment = await submitted(repository), await submitted(repository)

    await repository.release_as_unknown(payment)
    await acquire(repository, payment)
    await repository.mark_under_review(payment, UnderReview(reference=f"ch_{uuid4()}"))
    await repository.void(payment)
    await repository.settle(payment, Succeeded(reference=f"ch_{uuid4()}"))

    found = await repository.get(other.id)
    assert found is not None
    assert (found.state, found.fencing_token, found.void_requested) == (
        PaymentState.SUBMITTED,
        other.fencing_token,
        False,
    )
    assert found.lease_left > timedelta(0)
