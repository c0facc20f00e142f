"""Reads of the published views of payments, refunds and discrepancies in PostgreSQL."""

from uuid import UUID

from sqlalchemy import Uuid, bindparam, select, union_all
from sqlalchemy.dialects.postgresql import JSONB

from fuze_contracts.read_models import (
    DISCREPANCIES_VIEW,
    LEDGER_VIEW,
    ORDER_DISCREPANCIES_VIEW,
    PAYMENTS_VIEW,
    REFUNDS_VIEW,
    Discrepancy,
    PublishedLedgerEntry,
    PublishedPayment,
    PublishedRefund,
)
from fuze_gateway.database import Database, Statement, published_view

MAX_DISCREPANCIES = 500

_PAYMENTS = published_view(PAYMENTS_VIEW, PublishedPayment, payment_id=Uuid(), order_id=Uuid())
_REFUNDS = published_view(
    REFUNDS_VIEW,
    PublishedRefund,
    refund_id=Uuid(),
    payment_id=Uuid(),
    order_id=Uuid(),
    lines=JSONB(),
)
_LEDGER = published_view(
    LEDGER_VIEW, PublishedLedgerEntry, journal_id=Uuid(), payment_id=Uuid(), order_id=Uuid()
)
_DISCREPANCIES = union_all(
    *(
        select(published_view(view, Discrepancy, order_id=Uuid(), details=JSONB()))
        for view in (DISCREPANCIES_VIEW, ORDER_DISCREPANCIES_VIEW)
    )
).subquery()

_order_id = bindparam("order_id", type_=Uuid())

_PAYMENTS_OF_ORDER = Statement.compile(
    select(_PAYMENTS)
    .where(_PAYMENTS.c.order_id == _order_id)
    .order_by(_PAYMENTS.c.created_at, _PAYMENTS.c.payment_id)
)
_REFUNDS_OF_ORDER = Statement.compile(
    select(_REFUNDS)
    .where(_REFUNDS.c.order_id == _order_id)
    .order_by(_REFUNDS.c.created_at, _REFUNDS.c.refund_id)
)
_LEDGER_OF_ORDER = Statement.compile(
    select(_LEDGER).where(_LEDGER.c.order_id == _order_id).order_by(_LEDGER.c.position)
)
_REFUND = Statement.compile(
    select(_REFUNDS).where(_REFUNDS.c.refund_id == bindparam("refund_id", type_=Uuid()))
)
_NEWEST_DISCREPANCIES = Statement.compile(
    select(_DISCREPANCIES).order_by(_DISCREPANCIES.c.first_seen_at.desc()).limit(MAX_DISCREPANCIES)
)


class PaymentQueries:
    """Reads of payments; `UpstreamUnavailableError` when PostgreSQL is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_payments(self, order_id: UUID) -> list[PublishedPayment]:
        """Return every charge of the order, oldest first."""
        rows = await self._database.fetch(_PAYMENTS_OF_ORDER, order_id=order_id)
        return [PublishedPayment.model_validate(row) for row in rows]

    async def list_refunds(self, order_id: UUID) -> list[PublishedRefund]:
        """Return every refund of the order, oldest first."""
        rows = await self._database.fetch(_REFUNDS_OF_ORDER, order_id=order_id)
        return [PublishedRefund.model_validate(row) for row in rows]

    async def list_ledger_entries(self, order_id: UUID) -> list[PublishedLedgerEntry]:
        """Return the ledger of the order's payments, oldest entry first."""
        rows = await self._database.fetch(_LEDGER_OF_ORDER, order_id=order_id)
        return [PublishedLedgerEntry.model_validate(row) for row in rows]

    async def get_refund(self, refund_id: UUID) -> PublishedRefund | None:
        """Return a refund by its id."""
        rows = await self._database.fetch(_REFUND, refund_id=refund_id)
        return PublishedRefund.model_validate(rows[0]) if rows else None

    async def list_discrepancies(self) -> list[Discrepancy]:
        """Return the open discrepancies of payments and orders, newest first, at most 500."""
        rows = await self._database.fetch(_NEWEST_DISCREPANCIES)
        return [Discrepancy.model_validate(row) for row in rows]
