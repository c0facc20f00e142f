"""The ledger: double entry, append-only.

A capture debits `provider` (what the provider owes us) and credits `sales`.
A refund does the reverse.
"""

from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from fuze_contracts.money import Money
from fuze_payment.tables import ledger_entries


async def post_capture(connection: AsyncConnection, payment: UUID, amount: Money) -> None:
    """Record that the provider charged the amount, in the caller's transaction."""
    await _post(connection, payment, payment, amount, debit="provider", credit="sales")


async def post_refund(
    connection: AsyncConnection, payment: UUID, refund: UUID, amount: Money
) -> None:
    """Record that the provider refunded the amount, in the caller's transaction."""
    await _post(connection, refund, payment, amount, debit="sales", credit="provider")


async def _post(  # noqa: PLR0913 - a journal entry has two sides
    connection: AsyncConnection,
    journal: UUID,
    payment: UUID,
    amount: Money,
    *,
    debit: str,
    credit: str,
) -> None:
    if amount.amount_minor == 0:
        return
    both = {"journal_id": journal, "payment_id": payment, "currency": amount.currency}
    await connection.execute(
        insert(ledger_entries),
        [
            {**both, "account": debit, "debit_minor": amount.amount_minor, "credit_minor": 0},
            {**both, "account": credit, "debit_minor": 0, "credit_minor": amount.amount_minor},
        ],
    )
