"""Orders, many at once: filtered, sorted, a page after another.

A page begins after the last order of the one before (keyset pagination), so the hundredth costs
what the first does, and an order that is placed meanwhile shifts nothing.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import sqlalchemy as sa
from itsdangerous import BadSignature, URLSafeSerializer
from pydantic import SecretStr

from fuze_contracts.order import OrderStatus
from fuze_contracts.views import PublishedOrder
from fuze_gateway.database import Database, Statement
from fuze_gateway.reads import ORDER_COLUMNS, ORDERS

Sort = Literal["-created_at", "created_at"]

_PART_OF_AN_ID = re.compile(r"[0-9a-f]{4,8}(-[0-9a-f-]{0,27})?", re.IGNORECASE)
_BITS = 128


class InvalidCursorError(Exception):
    """Not a cursor of ours, or one of another list."""


@dataclass(frozen=True, kw_only=True)
class OrderFilter:
    """Which orders, and in which order. None is any."""

    statuses: tuple[OrderStatus, ...] = ()
    customer: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    needs_attention: bool | None = None
    text: str | None = None
    sort: Sort = "-created_at"

    @property
    def digest(self) -> str:
        """Name the filter, so that a cursor fits no other."""
        canonical = json.dumps(asdict(self), default=str, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some orders, and the cursor of those after them, if there are."""

    orders: list[PublishedOrder]
    next: str | None


class OrderList:
    """Pages of orders; `SourceUnavailableError` when PostgreSQL does not answer in time."""

    def __init__(self, database: Database, signing_key: SecretStr) -> None:
        self._database = database
        self._cursors = URLSafeSerializer(signing_key.get_secret_value(), salt="orders")

    async def page(self, wanted: OrderFilter, *, cursor: str | None, size: int) -> Page:
        """Return the first page, or the one that a cursor names.

        Raises:
            InvalidCursorError: the cursor is not of this list.

        """
        after = self._read(cursor, wanted) if cursor else None
        rows = await self._database.fetch(Statement.of(page_query(wanted, after, size)))
        orders = [PublishedOrder.model_validate(row) for row in rows[:size]]
        more = len(rows) > size
        return Page(orders=orders, next=self._write(orders[-1], wanted) if more else None)

    def _write(self, last: PublishedOrder, wanted: OrderFilter) -> str:
        place = [last.created_at.isoformat(), last.order_id.hex, wanted.digest]
        return str(self._cursors.dumps(place))

    def _read(self, cursor: str, wanted: OrderFilter) -> tuple[datetime, UUID]:
        try:
            created_at, order_id, digest = self._cursors.loads(cursor)
        except BadSignature as error:
            raise InvalidCursorError from error
        if digest != wanted.digest:
            raise InvalidCursorError
        return datetime.fromisoformat(created_at), UUID(order_id)


def page_query(
    wanted: OrderFilter, after: tuple[datetime, UUID] | None, size: int
) -> sa.Select[tuple[object, ...]]:
    """Return the query of one page and one order more, which tells whether there is a next."""
    query = sa.select(*ORDER_COLUMNS)
    created_at, order_id = ORDERS.c.created_at, ORDERS.c.order_id
    if len(wanted.statuses) == 1:
        query = query.where(ORDERS.c.status == wanted.statuses[0].value)
    elif wanted.statuses:
        query = query.where(ORDERS.c.status.in_([status.value for status in wanted.statuses]))
    if wanted.customer is not None:
        query = query.where(ORDERS.c.customer == wanted.customer)
    if wanted.created_from is not None:
        query = query.where(created_at >= wanted.created_from)
    if wanted.created_before is not None:
        query = query.where(created_at < wanted.created_before)
    if wanted.needs_attention is not None:
        flag = ORDERS.c.needs_attention
        query = query.where(flag if wanted.needs_attention else ~flag)
    if wanted.text is not None:
        query = query.where(_begins_with(wanted.text))
    if after is not None:
        place = sa.tuple_(created_at, order_id)
        then = sa.tuple_(
            sa.literal(after[0], sa.DateTime(timezone=True)), sa.literal(after[1], sa.Uuid())
        )
        query = query.where(place > then if wanted.sort == "created_at" else place < then)
    if wanted.sort == "created_at":
        return query.order_by(created_at, order_id).limit(size + 1)
    return query.order_by(created_at.desc(), order_id.desc()).limit(size + 1)


def _begins_with(text: str) -> sa.ColumnElement[bool]:
    """Whether the customer, or the order's id, begins like this."""
    customer = sa.func.lower(ORDERS.c.customer).startswith(text.lower(), autoescape=True)
    if not _PART_OF_AN_ID.fullmatch(text):
        return customer
    digits = text.replace("-", "")
    free = _BITS - 4 * len(digits)
    first = int(digits, 16) << free
    last = first + (1 << free) - 1
    return customer | ORDERS.c.order_id.between(UUID(int=first), UUID(int=last))
