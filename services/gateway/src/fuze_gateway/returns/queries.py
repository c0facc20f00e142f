"""Reads of the published view of returns in PostgreSQL."""

from uuid import UUID

from sqlalchemy import Uuid, bindparam, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB

from fuze_contracts.read_models import RETURNS_VIEW, PublishedReturn
from fuze_contracts.returns import ReturnStatus
from fuze_gateway.database import Database, Statement, published_view

MAX_OPEN_RETURNS = 500

_OPEN = (
    ReturnStatus.REQUESTED,
    ReturnStatus.APPROVED,
    ReturnStatus.RECEIVED,
    ReturnStatus.REFUND_FAILED,
)

_RETURNS = published_view(
    RETURNS_VIEW, PublishedReturn, return_id=Uuid(), order_id=Uuid(), lines=JSONB()
)
_is_of_order = _RETURNS.c.order_id == bindparam("order_id", type_=Uuid())

_RETURNS_OF_ORDER = Statement.compile(
    select(_RETURNS).where(_is_of_order).order_by(_RETURNS.c.created_at, _RETURNS.c.return_id)
)
_RETURN = Statement.compile(
    select(_RETURNS).where(
        _is_of_order, _RETURNS.c.return_id == bindparam("return_id", type_=Uuid())
    )
)
_OPEN_RETURNS = Statement.compile(
    select(_RETURNS)
    .where(_RETURNS.c.status.in_([literal_column(f"'{status}'") for status in _OPEN]))
    .order_by(_RETURNS.c.created_at, _RETURNS.c.return_id)
    .limit(MAX_OPEN_RETURNS)
)


class ReturnQueries:
    """Reads of returns; `UpstreamUnavailableError` when PostgreSQL is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_returns(self, order_id: UUID) -> list[PublishedReturn]:
        """Return every return of the order, oldest first."""
        rows = await self._database.fetch(_RETURNS_OF_ORDER, order_id=order_id)
        return [PublishedReturn.model_validate(row) for row in rows]

    async def list_open_returns(self) -> list[PublishedReturn]:
        """Return the returns of all orders that wait for something, oldest first, at most 500."""
        rows = await self._database.fetch(_OPEN_RETURNS)
        return [PublishedReturn.model_validate(row) for row in rows]

    async def get_return(self, order_id: UUID, return_id: UUID) -> PublishedReturn | None:
        """Return a return of the order by its id."""
        rows = await self._database.fetch(_RETURN, order_id=order_id, return_id=return_id)
        return PublishedReturn.model_validate(rows[0]) if rows else None
