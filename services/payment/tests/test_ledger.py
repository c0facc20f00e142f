"""What PostgreSQL itself enforces."""

from collections.abc import Callable
from uuid import uuid4

import pytest
import sqlalchemy as sa
from payment_harness import PaymentHarness, build_charge
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

EngineFactory = Callable[[str], AsyncEngine]


async def test_the_sum_of_debits_is_the_sum_of_credits(harness: PaymentHarness) -> None:
    await harness.service().payment_charged(build_charge())

    async with harness.engine.connect() as connection:
        query = "SELECT sum(debit_minor), sum(credit_minor) FROM payments.balances"
        debits, credits_ = (await connection.execute(sa.text(query))).one()
    assert debits == credits_ > 0


async def test_an_unbalanced_journal_is_rejected_at_commit(
    harness: PaymentHarness,
) -> None:
    command = build_charge()
    outcome = await harness.service().payment_charged(command)

    with pytest.raises(IntegrityError, match="does not balance"):
        async with harness.engine.begin() as connection:
            await connection.execute(
                sa.text(
                    "INSERT INTO payments.ledger_entries"
                    " (journal_id, payment_id, account, debit_minor, currency)"
                    " VALUES (:posting, :payment, 'provider', 1, 'USD')"
                ),
                {"posting": uuid4(), "payment": outcome.payment_id},
            )


async def test_the_database_rejects_refunds_above_the_charge(harness: PaymentHarness) -> None:
    command = build_charge()
    await harness.service().payment_charged(command)

    with pytest.raises(IntegrityError, match="payments_refunded_check"):
        async with harness.engine.begin() as connection:
            await connection.execute(
                sa.text(
                    "UPDATE payments.payments SET refunded_minor = 5998 WHERE order_id = :order_id"
                ),
                {"order_id": command.order_id},
            )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE payments.ledger_entries SET debit_minor = 0",
        "DELETE FROM payments.ledger_entries",
        "TRUNCATE payments.ledger_entries",
        "DELETE FROM payments.payments",
        "DELETE FROM payments.refunds",
        "CREATE TABLE payments.more (id int)",
        "SELECT * FROM orders.orders",
        "SELECT * FROM shipping.shipments",
    ],
)
async def test_the_role_of_the_service_may_not(engine_of: EngineFactory, statement: str) -> None:
    async with engine_of("payment").connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(sa.text(statement))
