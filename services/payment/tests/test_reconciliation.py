"""The provider's books and ours, compared both ways."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from temporalio.exceptions import ApplicationError
from till import Till, a_charge, a_refund, a_void, insist

from fuze_contracts.payment import Voided
from fuze_payment.messages import Reconcile, Reconciled


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
    charge = a_charge(method="pm_reply_lost")
    with pytest.raises(ApplicationError):
        await till.service().payment_charged(charge)

    found = await _reconcile(till, since)

    assert (found.mended, found.discrepancies) == (1, 0)
    assert await till.state(charge.order_id) == "charged"
    assert await till.kept_in_the_ledger(charge.order_id) == 5997


async def test_what_was_taken_after_it_was_let_go_of_is_given_back(
    till: Till, since: datetime
) -> None:
    charge = a_charge(method="pm_lands_late")
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
    assert await _open(till, order_id) == ["charge_unknown_here"]

    await _reconcile(till, datetime.now(UTC))  # out of sight is not resolved
    assert await _open(till, order_id) == ["charge_unknown_here"]


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

    assert await _open(till, charge.order_id) == ["charged_twice"]


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
    assert await _open(till, charge.order_id) == ["charged_here_only"]

    async with till.engine.begin() as connection:
        await connection.execute(sa.text(hidden), {"reference": there["id"], "id": charge.order_id})
    await _reconcile(till, since)

    assert await _open(till, charge.order_id) == []


async def test_a_provider_that_is_away_is_asked_again(till: Till, since: datetime) -> None:
    await till.conditions(available=False)

    with pytest.raises(ApplicationError) as error:
        await _reconcile(till, since)

    assert not error.value.non_retryable
