"""The provider's records and ours, compared in both directions."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from payment_harness import (
    PaymentHarness,
    build_charge,
    build_refund,
    build_void,
    retry_until_settled,
)
from temporalio.exceptions import ApplicationError

from fuze_contracts.payment import ChargePayment, Voided
from fuze_payment.messages import ComparePayments, ReconciliationResult
from fuze_payment.reconciliation_repository import ReconciliationRepository
from fuze_payment.reconciliation_rules import Discrepancy


async def _reconcile(harness: PaymentHarness, since: datetime) -> ReconciliationResult:
    harness.service()
    command = ComparePayments(since=since, idle_for=timedelta(0))
    return await harness.reconciliation.payments_reconciled(command)


async def _open(harness: PaymentHarness, order_id: object) -> list[str]:
    query = sa.text(
        "SELECT kind FROM payments.discrepancies"
        " WHERE order_id = :order_id AND resolved_at IS NULL ORDER BY kind"
    )
    async with harness.engine.connect() as connection:
        return list((await connection.execute(query, {"order_id": order_id})).scalars())


async def _late_capture_of_a_voided_payment(harness: PaymentHarness) -> ChargePayment:
    charge = build_charge(method="pm_delayed_commit")
    await harness.set_faults(commit_delay_seconds=2)  # after the void, on a busy machine too
    with pytest.raises(ApplicationError):
        await harness.service().payment_charged(charge)
    hasty = harness.service(psp_settle_window=timedelta(milliseconds=1))
    assert isinstance(
        await retry_until_settled(lambda: hasty.payment_voided(build_void(charge))),
        Voided,
    )
    await harness.wait_for_capture(charge.order_id)
    return charge


@pytest.fixture
def since() -> datetime:
    return datetime.now(UTC)


async def test_matching_records_have_no_discrepancy(
    harness: PaymentHarness, since: datetime
) -> None:
    charge, service = build_charge(), harness.service()
    await service.payment_charged(charge)
    await service.payment_refunded(build_refund(charge, 1000))

    found = await _reconcile(harness, since)

    assert (found.charges, found.refunds) == (1, 1)
    assert (found.repaired, found.discrepancies) == (0, 0)


async def test_a_missing_capture_is_settled(harness: PaymentHarness, since: datetime) -> None:
    charge = build_charge(method="pm_response_dropped")
    with pytest.raises(ApplicationError):
        await harness.service().payment_charged(charge)

    found = await _reconcile(harness, since)

    assert (found.repaired, found.discrepancies) == (1, 0)
    assert await harness.state(charge.order_id) == "charged"
    assert await harness.ledger_balance(charge.order_id) == 5997


async def test_a_late_capture_of_a_voided_payment_is_refunded(
    harness: PaymentHarness, since: datetime
) -> None:
    charge = await _late_capture_of_a_voided_payment(harness)

    found = await _reconcile(harness, since)

    assert found.repaired == 1
    assert await harness.provider_balance(charge.order_id) == 0
    assert await harness.ledger_balance(charge.order_id) == 0
    assert (await _reconcile(harness, since)).repaired == 0


async def test_an_unmatched_charge_is_listed_even_out_of_the_compared_period(
    harness: PaymentHarness, since: datetime
) -> None:
    order_id = uuid4()
    await harness.http.post(
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

    await _reconcile(harness, since)
    assert await _open(harness, order_id) == ["unmatched_provider_charge"]

    await _reconcile(harness, datetime.now(UTC))  # not compared is not resolved
    assert await _open(harness, order_id) == ["unmatched_provider_charge"]


async def test_a_duplicate_charge_is_listed(harness: PaymentHarness, since: datetime) -> None:
    charge = build_charge()
    await harness.service().payment_charged(charge)
    [there] = await harness.list_captures(charge.order_id)
    await harness.http.post(
        "/psp/charges",
        headers={"Idempotency-Key": str(uuid4())},
        json={
            name: there[name]
            for name in ("amount_minor", "currency", "payment_method", "order_id", "payment_id")
        },
    )

    await _reconcile(harness, since)

    assert await _open(harness, charge.order_id) == ["duplicate_charge"]


async def test_a_capture_that_is_missing_at_the_provider_is_listed_and_later_resolved(
    harness: PaymentHarness, since: datetime
) -> None:
    charge = build_charge()
    await harness.service().payment_charged(charge)
    hidden = "UPDATE payments.payments SET provider_reference = :reference WHERE order_id = :id"
    [there] = await harness.list_captures(charge.order_id)
    async with harness.engine.begin() as connection:
        await connection.execute(
            sa.text(hidden), {"reference": f"not-{there['id']}", "id": charge.order_id}
        )
    await _reconcile(harness, since)
    assert await _open(harness, charge.order_id) == ["missing_provider_charge"]

    async with harness.engine.begin() as connection:
        await connection.execute(sa.text(hidden), {"reference": there["id"], "id": charge.order_id})
    await _reconcile(harness, since)

    assert await _open(harness, charge.order_id) == []


async def test_an_outage_of_the_provider_is_a_retryable_error(
    harness: PaymentHarness, since: datetime
) -> None:
    await harness.set_faults(available=False)

    with pytest.raises(ApplicationError) as error:
        await _reconcile(harness, since)

    assert not error.value.non_retryable


async def test_a_late_capture_that_cannot_be_refunded_is_listed_and_retried(
    harness: PaymentHarness, since: datetime
) -> None:
    charge = await _late_capture_of_a_voided_payment(harness)
    await harness.set_faults(faults={"error": 1.0})

    await _reconcile(harness, since)
    listed = await _open(harness, charge.order_id)
    await harness.set_faults()
    for _ in range(2):  # the first one reads the provider's records before it repairs
        await _reconcile(harness, since)

    assert listed == ["void_not_refunded"]
    assert await harness.provider_balance(charge.order_id) == 0
    assert await _open(harness, charge.order_id) == []


async def test_a_rejected_refund_does_not_prevent_other_repairs(
    harness: PaymentHarness, since: datetime
) -> None:
    refunded_elsewhere = await _late_capture_of_a_voided_payment(harness)
    [there] = await harness.list_captures(refunded_elsewhere.order_id)
    answer = await harness.http.post(  # as an operator does in the provider's dashboard
        "/psp/refunds",
        headers={"Idempotency-Key": str(uuid4())},
        json={"charge_id": there["id"], "amount_minor": 5997, "refund_id": str(uuid4())},
    )
    assert answer.status_code == 200
    lost = build_charge(method="pm_response_dropped")
    with pytest.raises(ApplicationError):
        await harness.service().payment_charged(lost)

    for _ in range(2):
        await _reconcile(harness, since)

    assert await harness.state(lost.order_id) == "charged"
    assert await _open(harness, refunded_elsewhere.order_id) == ["void_not_refunded"]


async def test_thousands_of_discrepancies_are_saved_and_resolved(
    harness: PaymentHarness, since: datetime
) -> None:
    repository = ReconciliationRepository(harness.engine)
    found = [
        Discrepancy(
            kind="unmatched_provider_charge",
            reference=f"many_{number}",
            occurred_at=since,
            details={},
        )
        for number in range(2_000)
    ]

    await repository.save([*found, found[0]], since)
    await repository.save(found[:1], since)

    query = sa.text(
        "SELECT count(*) FROM payments.discrepancies"
        " WHERE reference LIKE 'many_%' AND resolved_at IS NULL"
    )
    async with harness.engine.connect() as connection:
        assert (await connection.execute(query)).scalar_one() == 1
    await repository.save([], since)
