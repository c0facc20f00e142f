"""Payments in PostgreSQL: who may send, what is written once, what is found afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from till import a_charge, a_void

from fuze_contracts.payment import ChargePayment
from fuze_payment.provider import Held, Refused, Taken
from fuze_payment.repository import PaymentRepository
from fuze_payment.rules import Payment, PaymentState, payment_id

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
    """Change columns of a payment behind everybody's back: time passes, somebody dies."""

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
    payment = await repository.claim(command or a_charge())
    assert payment is not None
    return payment


async def take(repository: PaymentRepository, payment: Payment) -> Payment:
    taken = await repository.take(payment)
    assert taken is not None
    return taken


async def sent(repository: PaymentRepository, command: ChargePayment | None = None) -> Payment:
    """A payment that the provider is being asked for."""
    taken = await take(repository, await claim(repository, command))
    assert await repository.mark_submitted(taken)
    return taken


async def test_a_claim_is_a_row_with_everything_that_was_asked(
    repository: PaymentRepository,
) -> None:
    command = a_charge(amount_minor=123)

    payment = await claim(repository, command)

    assert payment.id == payment_id(command.payment_token)
    assert (payment.payment_token, payment.order_id) == (command.payment_token, command.order_id)
    assert (payment.amount_minor, payment.currency) == (123, "USD")
    assert payment.payment_method == "pm_card_visa"
    assert payment.state is PaymentState.CREATED
    assert not payment.void_requested
    assert (payment.fencing_token, payment.refunded_minor) == (0, 0)
    assert (payment.provider_reference, payment.decline_code) == (None, None)
    assert (payment.key_age, payment.since_last_submitted) == (None, None)
    assert payment.lease_left == timedelta(0)


async def test_a_second_claim_finds_the_first(repository: PaymentRepository) -> None:
    command = a_charge()
    first = await claim(repository, command)

    again = await claim(repository, command.model_copy(update={"payment_method": "pm_other"}))

    assert (again.id, again.payment_method) == (first.id, "pm_card_visa")


async def test_an_order_has_one_live_charge(repository: PaymentRepository) -> None:
    command = a_charge()
    await claim(repository, command)

    other = a_charge(command.order_id, token=f"{command.order_id}:2")

    assert await repository.claim(other) is None


async def test_a_declined_charge_makes_way_for_another(repository: PaymentRepository) -> None:
    command = a_charge()
    payment = await sent(repository, command)
    await repository.settle(payment, Refused(code="card_declined"))

    other = a_charge(command.order_id, token=f"{command.order_id}:2")

    assert await repository.claim(other) is not None


async def test_a_payment_is_found_by_its_token_and_by_its_id(
    repository: PaymentRepository,
) -> None:
    payment = await claim(repository)

    by_token = await repository.find(payment.payment_token)
    by_id = await repository.get(payment.id)

    assert by_token is not None
    assert by_id is not None
    assert by_token.id == by_id.id == payment.id


async def test_what_nobody_claimed_is_not_found(repository: PaymentRepository) -> None:
    assert await repository.find("no such token") is None
    assert await repository.get(uuid4()) is None


async def test_a_lease_is_had_by_one_at_a_time(repository: PaymentRepository) -> None:
    payment = await claim(repository)

    takers = await asyncio.gather(*(repository.take(payment) for _ in range(4)))

    [taken] = [one for one in takers if one]
    assert taken.fencing_token == 1
    assert timedelta(seconds=25) < taken.lease_left <= _LEASE


async def test_a_lease_that_ran_out_is_taken_over_with_a_higher_epoch(
    repository: PaymentRepository, change: Change
) -> None:
    taken = await take(repository, await claim(repository))
    await change(taken, "lease_expires_at = now() - interval '1 second'")

    assert (await take(repository, taken)).fencing_token == 2


async def test_one_who_lost_the_lease_may_not_send(
    repository: PaymentRepository, change: Change
) -> None:
    first = await take(repository, await claim(repository))
    await change(first, "lease_expires_at = now() - interval '1 second'")
    second = await take(repository, first)

    assert not await repository.mark_submitted(first)
    assert await repository.mark_submitted(second)


async def test_one_whose_lease_ran_out_may_not_send_even_if_nobody_else_came(
    repository: PaymentRepository, change: Change
) -> None:
    taken = await take(repository, await claim(repository))
    await change(taken, "lease_expires_at = now() - interval '1 second'")

    assert not await repository.mark_submitted(taken)


async def test_whoever_sends_is_written_down_first(repository: PaymentRepository) -> None:
    payment = await sent(repository)

    found = await repository.get(payment.id)

    assert found is not None
    assert found.state is PaymentState.SUBMITTED
    assert found.key_age is not None
    assert found.since_last_submitted is not None
    assert timedelta(0) <= found.since_last_submitted <= found.key_age < timedelta(seconds=20)


async def test_a_second_request_keeps_the_age_of_the_key(
    repository: PaymentRepository, change: Change
) -> None:
    payment = await sent(repository)
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


async def test_a_settled_payment_is_neither_taken_nor_sent(repository: PaymentRepository) -> None:
    payment = await sent(repository)
    await repository.settle(payment, Taken(reference=f"ch_{uuid4()}"))

    assert await repository.take(payment) is None
    assert not await repository.mark_submitted(payment)


async def test_a_lease_that_is_given_back_can_be_taken_at_once(
    repository: PaymentRepository,
) -> None:
    payment = await sent(repository)

    await repository.give_back(payment, PaymentState.UNKNOWN)

    again = await take(repository, payment)
    assert again.state is PaymentState.UNKNOWN
    assert again.since_last_submitted is not None


async def test_a_lease_given_back_without_news_leaves_the_state(
    repository: PaymentRepository,
) -> None:
    payment = await sent(repository)

    await repository.give_back(payment)

    assert (await take(repository, payment)).state is PaymentState.SUBMITTED


async def test_one_who_lost_the_lease_gives_nothing_back(
    repository: PaymentRepository, change: Change
) -> None:
    first = await sent(repository)
    await change(first, "lease_expires_at = now() - interval '1 second'")
    second = await take(repository, first)

    await repository.give_back(first, PaymentState.UNKNOWN)
    await repository.give_back_unsent(first)

    found = await repository.get(second.id)
    assert found is not None
    assert found.state is PaymentState.SUBMITTED
    assert found.lease_left > timedelta(0)


async def test_a_first_request_that_surely_did_nothing_counts_as_never_sent(
    repository: PaymentRepository,
) -> None:
    payment = await sent(repository)  # as it was when the lease was taken: nothing sent

    await repository.give_back_unsent(payment)

    again = await take(repository, payment)
    assert again.state is PaymentState.CREATED
    assert (again.key_age, again.since_last_submitted) == (None, None)


async def test_a_later_request_that_did_nothing_does_not_undo_an_earlier_one(
    repository: PaymentRepository,
) -> None:
    payment = await sent(repository)
    await repository.give_back(payment, PaymentState.UNKNOWN)
    second = await take(repository, payment)
    assert await repository.mark_submitted(second)

    await repository.give_back_unsent(second)

    third = await take(repository, second)
    assert third.state is PaymentState.SUBMITTED
    assert third.key_age is not None


async def test_a_held_payment_is_free_to_be_looked_at_again(repository: PaymentRepository) -> None:
    payment = await sent(repository)

    reference = f"ch_{uuid4()}"

    await repository.hold(payment, Held(reference=reference))

    again = await take(repository, payment)
    assert (again.state, again.provider_reference) == (PaymentState.UNDER_REVIEW, reference)


async def test_a_settled_payment_is_not_held_any_more(repository: PaymentRepository) -> None:
    payment = await sent(repository)
    await repository.settle(payment, Refused(code="fraud"))

    await repository.hold(payment, Held(reference="ch_late"))

    found = await repository.get(payment.id)
    assert found is not None
    assert (found.state, found.provider_reference) == (PaymentState.DECLINED, None)


async def test_a_capture_is_in_the_row_and_in_the_ledger(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await sent(repository)
    reference = f"ch_{uuid4()}"

    settled = await repository.settle(payment, Taken(reference=reference))

    assert (settled.state, settled.provider_reference) == (PaymentState.CHARGED, reference)
    assert settled.decline_code is None
    assert settled.lease_left == timedelta(0)
    assert await postings(payment) == [("provider", 5997, 0), ("sales", 0, 5997)]


async def test_a_capture_is_posted_once_however_often_it_is_heard_of(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await sent(repository)
    reference = f"ch_{uuid4()}"

    await asyncio.gather(
        *(repository.settle(payment, Taken(reference=reference)) for _ in range(4))
    )

    assert len(await postings(payment)) == 2


async def test_a_decline_is_final_and_leaves_no_posting(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await sent(repository)
    reference = f"ch_{uuid4()}"

    settled = await repository.settle(payment, Refused(code="fraud", reference=reference))
    again = await repository.settle(payment, Taken(reference="ch_other"))

    assert settled.state is again.state is PaymentState.DECLINED
    assert (again.decline_code, again.provider_reference) == ("fraud", reference)
    assert await postings(payment) == []


async def test_a_capture_is_not_declined_afterwards(repository: PaymentRepository) -> None:
    payment = await sent(repository)
    await repository.settle(payment, Taken(reference=f"ch_{uuid4()}"))

    assert (await repository.settle(payment, Refused(code="late"))).state is PaymentState.CHARGED


async def test_the_truth_is_taken_from_one_who_lost_the_lease(
    repository: PaymentRepository, change: Change
) -> None:
    first = await sent(repository)
    await change(first, "lease_expires_at = now() - interval '1 second'")
    await take(repository, first)

    settled = await repository.settle(first, Taken(reference=f"ch_{uuid4()}"))

    assert settled.state is PaymentState.CHARGED


async def test_a_free_payment_is_charged_without_reference_or_posting(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await take(repository, await claim(repository, a_charge(amount_minor=0)))

    settled = await repository.settle(payment, None)

    assert (settled.state, settled.provider_reference) == (PaymentState.CHARGED, None)
    assert await postings(payment) == []


async def test_a_capture_that_nobody_sent_is_old_from_the_moment_it_is_heard_of(
    repository: PaymentRepository,
) -> None:
    payment = await claim(repository)

    settled = await repository.settle(payment, Taken(reference=f"ch_{uuid4()}"))

    assert settled.key_age is not None


async def test_a_charge_that_nobody_claimed_is_let_go_of_at_once(
    repository: PaymentRepository,
) -> None:
    charge = a_charge()

    payment = await repository.request_void(a_void(charge))

    assert (payment.state, payment.void_requested) == (PaymentState.VOIDED, True)
    assert (await claim(repository, charge)).state is PaymentState.VOIDED


async def test_a_claim_that_was_not_sent_is_let_go_of_at_once(
    repository: PaymentRepository,
) -> None:
    charge = a_charge()
    payment = await take(repository, await claim(repository, charge))

    void_requested = await repository.request_void(a_void(charge))

    assert (void_requested.state, void_requested.void_requested) == (PaymentState.VOIDED, True)
    assert not await repository.mark_submitted(payment)


@pytest.mark.parametrize("state", ["submitted", "unknown", "under_review"])
async def test_what_may_be_at_the_provider_is_marked_and_stays_open(
    repository: PaymentRepository, change: Change, state: str
) -> None:
    charge = a_charge()
    payment = await sent(repository, charge)
    await change(payment, f"state = '{state}'")

    void_requested = await repository.request_void(a_void(charge))

    assert (void_requested.state, void_requested.void_requested) == (state, True)


@pytest.mark.parametrize(
    "other",
    [
        {"order_id": uuid4()},
        {"amount": a_charge(amount_minor=1).amount},
        {"amount": a_charge().amount.model_copy(update={"currency": "EUR"})},
    ],
)
async def test_a_void_of_something_else_lets_nothing_go(
    repository: PaymentRepository, other: dict[str, Any]
) -> None:
    charge = a_charge()
    await sent(repository, charge)

    found = await repository.request_void(a_void(charge.model_copy(update=other)))

    assert not found.void_requested


async def test_a_void_leaves_the_other_payments_alone(repository: PaymentRepository) -> None:
    other = await sent(repository)

    await repository.request_void(a_void(a_charge()))

    found = await repository.get(other.id)
    assert found is not None
    assert not found.void_requested


async def test_a_token_is_let_go_of_beside_another_live_charge_of_its_order(
    repository: PaymentRepository,
) -> None:
    charge = a_charge()
    await sent(repository, charge)
    other = a_charge(charge.order_id, token=f"{charge.order_id}:2")

    void_requested = await repository.request_void(a_void(other))

    assert (void_requested.payment_token, void_requested.state) == (
        other.payment_token,
        PaymentState.VOIDED,
    )


async def test_a_void_ends_what_was_open(repository: PaymentRepository, change: Change) -> None:
    payment = await sent(repository)
    await change(payment, "provider_reference = id::text, state = 'under_review'")

    voided = await repository.void(payment)

    assert (voided.state, voided.void_requested) == (PaymentState.VOIDED, True)
    assert voided.provider_reference is None
    assert voided.lease_left == timedelta(0)


async def test_a_settled_payment_is_not_voided(repository: PaymentRepository) -> None:
    payment = await sent(repository)
    await repository.settle(payment, Taken(reference=f"ch_{uuid4()}"))

    voided = await repository.void(payment)

    assert (voided.state, voided.void_requested) == (PaymentState.CHARGED, False)


async def test_what_is_taken_after_it_was_voided_is_known_and_marked(
    repository: PaymentRepository, postings: Callable[..., Any]
) -> None:
    payment = await sent(repository)
    await repository.void(payment)

    settled = await repository.settle(payment, Taken(reference=f"ch_{uuid4()}"))

    assert (settled.state, settled.void_requested) == (PaymentState.CHARGED, True)
    assert len(await postings(payment)) == 2


async def test_what_is_declined_after_it_was_voided_stays_voided(
    repository: PaymentRepository,
) -> None:
    payment = await sent(repository)
    await repository.void(payment)

    assert (await repository.settle(payment, Refused(code="late"))).state is PaymentState.VOIDED


@pytest.mark.parametrize(
    "step",
    [
        lambda repository, payment: repository.take(payment),
        lambda repository, payment: repository.request_void(
            a_void(a_charge(payment.order_id, token=payment.payment_token))
        ),
        lambda repository, payment: repository.void(payment),
        lambda repository, payment: repository.hold(payment, Held(reference=f"ch_{uuid4()}")),
        lambda repository, payment: repository.settle(payment, Refused(code="fraud")),
    ],
    ids=["take", "void_requested", "void", "hold", "settle"],
)
async def test_each_step_says_when_it_was(
    repository: PaymentRepository,
    change: Change,
    column: Callable[..., Any],
    step: Callable[[PaymentRepository, Payment], Awaitable[object]],
) -> None:
    payment = await sent(repository)
    await change(payment, "updated_at = 'epoch', lease_expires_at = 'epoch'")

    await step(repository, payment)

    assert (await column(payment, "updated_at")).year > 2000


async def test_each_step_leaves_the_other_payments_alone(repository: PaymentRepository) -> None:
    other, payment = await sent(repository), await sent(repository)

    await repository.give_back(payment, PaymentState.UNKNOWN)
    await take(repository, payment)
    await repository.hold(payment, Held(reference=f"ch_{uuid4()}"))
    await repository.void(payment)
    await repository.settle(payment, Taken(reference=f"ch_{uuid4()}"))

    found = await repository.get(other.id)
    assert found is not None
    assert (found.state, found.fencing_token, found.void_requested) == (
        PaymentState.SUBMITTED,
        1,
        False,
    )
    assert found.lease_left > timedelta(0)
