"""What PostgreSQL itself refuses."""

from collections.abc import Callable
from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine
from till import Till, a_charge

EngineOf = Callable[[str], AsyncEngine]


async def test_debits_are_credits(till: Till) -> None:
    await till.service().payment_charged(a_charge())

    async with till.engine.connect() as connection:
        query = "SELECT sum(debit_minor), sum(credit_minor) FROM payments.balances"
        debits, credits_ = (await connection.execute(sa.text(query))).one()
    assert debits == credits_ > 0


async def test_a_posting_that_does_not_balance_is_refused_at_commit(till: Till) -> None:
    command = a_charge()
    outcome = await till.service().payment_charged(command)

    with pytest.raises(IntegrityError, match="does not balance"):
        async with till.engine.begin() as connection:
            await connection.execute(
                sa.text(
                    "INSERT INTO payments.ledger_entries"
                    " (journal_id, payment_id, account, debit_minor, currency)"
                    " VALUES (:posting, :payment, 'provider', 1, 'USD')"
                ),
                {"posting": uuid4(), "payment": outcome.payment_id},
            )


async def test_more_than_was_taken_cannot_be_given_back(till: Till) -> None:
    command = a_charge()
    await till.service().payment_charged(command)

    with pytest.raises(IntegrityError, match="payments_refunded_check"):
        async with till.engine.begin() as connection:
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
async def test_the_services_role_may_not(engine_of: EngineOf, statement: str) -> None:
    async with engine_of("payment").connect() as connection:
        with pytest.raises(ProgrammingError, match="permission denied"):
            await connection.execute(sa.text(statement))
