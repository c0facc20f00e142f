"""The provider's books and ours, compared both ways."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from temporalio.exceptions import ApplicationError
from till import Till, a_charge, a_refund, a_void, insist

from fuze_contracts.payment import ChargePayment, Voided
from fuze_payment.comparing import Finding
from fuze_payment.messages import Reconcile, Reconciled
from fuze_payment.reconciliation_repository import ReconciliationRepository


async def _reconcile(till: Till, since: datetime) -> Reconciled:
    till.service()
    command = Reconcile(since=since, at_rest_for=timedelta(0))
    return await till.reconciliation.reconcile(command)


async def _open(till: Till, order_id: object) -> list[str]:
    query = sa.text(
        "SELECT kind FROM payments.discrepancies"
        " WHERE order_id = :order_id AND resolved_at IS NULL ORDER BY kind"
    )
    async with till.engine.connect() as connection:
        return list((await connection.execute(query, {"order_id": order_id})).scalars())


@pytest.fixture
def since() -> datetime:
    return datetime.now(UTC)


async def test_books_that_agree_find_nothing(till: Till, since: datetime) -> None:
    charge, service = a_charge(), till.service()
    await service.payment_charged(charge)
    await service.payment_refunded(a_refund(charge, 1000))

    found = await _reconcile(till, since)

    assert (found.charges, found.refunds) == (1, 1)
    assert (found.mended, found.discrepancies) == (0, 0)


async def test_a_capture_that_nobody_heard_of_is_settled(till: Till, since: datetime) -> None:
    charge = a_charge(method="pm_response_dropped")
    with pytest.raises(ApplicationError):
        await till.service().payment_charged(charge)

    found = await _reconcile(till, since)

    assert (found.mended, found.discrepancies) == (1, 0)
    assert await till.state(charge.order_id) == "charged"
    assert await till.kept_in_the_ledger(charge.order_id) == 5997


async def test_what_was_taken_after_it_was_let_go_of_is_given_back(
    till: Till, since: datetime
) -> None:
    charge = a_charge(method="pm_delayed_commit")
    await till.conditions(late_by_seconds=0.5)
    with pytest.raises(ApplicationError):
        await till.service().payment_charged(charge)
    impatient = till.service(psp_settle_window=timedelta(milliseconds=1))
    assert isinstance(await insist(lambda: impatient.payment_voided(a_void(charge))), Voided)
    await till.until_taken(charge.order_id)

    found = await _reconcile(till, since)

    assert found.mended == 1
    assert await till.kept_at_the_provider(charge.order_id) == 0
    assert await till.kept_in_the_ledger(charge.order_id) == 0
    assert (await _reconcile(till, since)).mended == 0


async def test_a_charge_that_we_never_made_is_listed_until_it_is_gone(
    till: Till, since: datetime
) -> None:
    order_id = uuid4()
    await till.http.post(
        "/psp/charges",
        headers={"Idempotency-Key": str(uuid4())},
        json={
            "amount_minor": 1,
            "currency": "USD",
            "payment_method": "pm_card_visa",
            "order_id": str(order_id),
            "payment_id": str(uuid4()),
        },
    )

    await _reconcile(till, since)
    assert await _open(till, order_id) == ["unmatched_provider_charge"]

    await _reconcile(till, datetime.now(UTC))  # out of sight is not resolved
    assert await _open(till, order_id) == ["unmatched_provider_charge"]


async def test_an_order_charged_twice_is_listed(till: Till, since: datetime) -> None:
    charge = a_charge()
    await till.service().payment_charged(charge)
    [there] = await till.taken(charge.order_id)
    await till.http.post(
        "/psp/charges",
        headers={"Idempotency-Key": str(uuid4())},
        json={
            name: there[name]
            for name in ("amount_minor", "currency", "payment_method", "order_id", "payment_id")
        },
    )

    await _reconcile(till, since)

    assert await _open(till, charge.order_id) == ["duplicate_charge"]


async def test_a_capture_that_the_provider_does_not_have_is_listed_and_then_resolved(
    till: Till, since: datetime
) -> None:
    charge = a_charge()
    await till.service().payment_charged(charge)
    hidden = "UPDATE payments.payments SET provider_reference = :reference WHERE order_id = :id"
    [there] = await till.taken(charge.order_id)
    async with till.engine.begin() as connection:
        await connection.execute(
            sa.text(hidden), {"reference": f"not-{there['id']}", "id": charge.order_id}
        )
    await _reconcile(till, since)
    assert await _open(till, charge.order_id) == ["missing_provider_charge"]

    async with till.engine.begin() as connection:
        await connection.execute(sa.text(hidden), {"reference": there["id"], "id": charge.order_id})
    await _reconcile(till, since)

    assert await _open(till, charge.order_id) == []


async def test_a_provider_that_is_away_is_asked_again(till: Till, since: datetime) -> None:
    await till.conditions(available=False)

    with pytest.raises(ApplicationError) as error:
        await _reconcile(till, since)

    assert not error.value.non_retryable


async def _taken_after_it_was_let_go_of(till: Till) -> ChargePayment:
    charge = a_charge(method="pm_delayed_commit")
    await till.conditions(late_by_seconds=0.5)
    with pytest.raises(ApplicationError):
        await till.service().payment_charged(charge)
    impatient = till.service(psp_settle_window=timedelta(milliseconds=1))
    assert isinstance(await insist(lambda: impatient.payment_voided(a_void(charge))), Voided)
    await till.until_taken(charge.order_id)
    return charge


async def test_what_could_not_be_given_back_is_listed_and_tried_again(
    till: Till, since: datetime
) -> None:
    charge = await _taken_after_it_was_let_go_of(till)
    await till.conditions(faults={"error": 1.0})

    await _reconcile(till, since)
    listed = await _open(till, charge.order_id)
    await till.conditions()
    for _ in range(2):  # the first reads the provider's books before it mends
        await _reconcile(till, since)

    assert listed == ["void_not_refunded"]
    assert await till.kept_at_the_provider(charge.order_id) == 0
    assert await _open(till, charge.order_id) == []


async def test_one_refund_that_is_refused_does_not_keep_others_from_being_mended(
    till: Till, since: datetime
) -> None:
    poison = await _taken_after_it_was_let_go_of(till)
    [there] = await till.taken(poison.order_id)
    answer = await till.http.post(  # somebody gave it back at the provider's dashboard
        "/psp/refunds",
        headers={"Idempotency-Key": str(uuid4())},
        json={"charge_id": there["id"], "amount_minor": 5997, "refund_id": str(uuid4())},
    )
    assert answer.status_code == 200
    lost = a_charge(method="pm_response_dropped")
    with pytest.raises(ApplicationError):
        await till.service().payment_charged(lost)

    for _ in range(2):
        await _reconcile(till, since)

    assert await till.state(lost.order_id) == "charged"
    assert await _open(till, poison.order_id) == ["void_not_refunded"]


async def test_many_findings_are_kept_and_resolved_at_once(till: Till, since: datetime) -> None:
    repository = ReconciliationRepository(till.engine)
    findings = [
        Finding(
            kind="unmatched_provider_charge",
            reference=f"many_{number}",
            occurred_at=since,
            details={},
        )
        for number in range(12_000)
    ]

    await repository.keep([*findings, findings[0]], since)
    await repository.keep(findings[:1], since)

    query = sa.text(
        "SELECT count(*) FROM payments.discrepancies"
        " WHERE reference LIKE 'many_%' AND resolved_at IS NULL"
    )
    async with till.engine.connect() as connection:
        assert (await connection.execute(query)).scalar_one() == 1
    await repository.keep([], since)
