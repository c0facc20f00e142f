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
from fuze_contracts.read_models import PublishedOrder
from fuze_gateway.database import Database, Statement
from fuze_gateway.reads import ORDER_COLUMNS, ORDERS

Sort = Literal["-created_at", "created_at"]

_PART_OF_AN_ID = re.compile(r"[0-9a-f]{4,8}(-[0-9a-f-]{0,27})?", re.IGNORECASE)
_BITS = 128
FEW = 10_000
"""So many rows are looked up and sorted in the time that a page may take."""
_DIGITS = 32


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

    def __init__(self, database: Database, cursor_signing_key: SecretStr) -> None:
        self._database = database
        self._cursors = URLSafeSerializer(cursor_signing_key.get_secret_value(), salt="orders")

    async def page(self, wanted: OrderFilter, *, cursor: str | None, size: int) -> Page:
        """Return the first page, or the one that a cursor names.

        Raises:
            InvalidCursorError: the cursor is not of this list.

        """
        after = self._read(cursor, wanted) if cursor else None
        many = wanted.text is None or await self._matches_many(wanted.text)
        query = page_query(wanted, after, size, many_match=many)
        rows = await self._database.fetch(Statement.of(query))
        orders = [PublishedOrder.model_validate(row) for row in rows[:size]]
        more = len(rows) > size
        return Page(orders=orders, next=self._write(orders[-1], wanted) if more else None)

    async def _matches_many(self, text: str) -> bool:
        [counted] = await self._database.fetch(Statement.of(few_query(text)))
        return bool(counted["matching"] > FEW)

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
    wanted: OrderFilter, after: tuple[datetime, UUID] | None, size: int, *, many_match: bool = True
) -> sa.Select[tuple[object, ...]]:
    """Return the query of one page and one order more, which tells whether there is a next.

    `many_match` says whether more than `FEW` orders match the text. PostgreSQL would guess, and a
    wrong guess reads the whole table: few are looked up and sorted, and where many match, the
    first of them are found on the way through the newest.
    """
    orders: sa.FromClause = ORDERS
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.text is not None:
        if many_match:
            conditions.append(_begins_with(wanted.text, unindexed=True))
        else:
            found = sa.select(*ORDER_COLUMNS).where(_begins_with(wanted.text))
            orders = found.cte("found").prefix_with("MATERIALIZED", dialect="postgresql")
    created_at, order_id = orders.c.created_at, orders.c.order_id
    conditions += _conditions(orders, wanted)
    if after is not None:
        place = sa.tuple_(created_at, order_id)
        then = sa.tuple_(
            sa.literal(after[0], sa.DateTime(timezone=True)), sa.literal(after[1], sa.Uuid())
        )
        conditions.append(place > then if wanted.sort == "created_at" else place < then)
    query = sa.select(*(orders.c[name] for name in PublishedOrder.model_fields)).where(*conditions)
    if wanted.sort == "created_at":
        return query.order_by(created_at, order_id).limit(size + 1)
    return query.order_by(created_at.desc(), order_id.desc()).limit(size + 1)


def few_query(text: str) -> sa.Select[int]:
    """Return the query that counts the orders that match a text, up to one more than `FEW`."""
    found = sa.select(sa.literal(1).label("one")).where(_begins_with(text)).limit(FEW + 1)
    return sa.select(sa.func.count().label("matching")).select_from(found.subquery())


def _conditions(orders: sa.FromClause, wanted: OrderFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if len(wanted.statuses) == 1:
        conditions.append(orders.c.status == wanted.statuses[0].value)
    elif wanted.statuses:
        conditions.append(orders.c.status.in_([status.value for status in wanted.statuses]))
    if wanted.customer is not None:
        conditions.append(orders.c.customer == wanted.customer)
    if wanted.created_from is not None:
        conditions.append(orders.c.created_at >= wanted.created_from)
    if wanted.created_before is not None:
        conditions.append(orders.c.created_at < wanted.created_before)
    if wanted.needs_attention is not None:
        flag = orders.c.needs_attention
        conditions.append(flag if wanted.needs_attention else ~flag)
    return conditions


def _begins_with(text: str, *, unindexed: bool = False) -> sa.ColumnElement[bool]:
    """Whether the customer, or the order's id, begins like this.

    `unindexed` keeps PostgreSQL from looking matches up: it cannot see through the expression.
    """
    name = sa.func.lower(ORDERS.c.customer)
    if unindexed:
        name = sa.func.concat(name, "")
    customer = name.startswith(text.lower(), autoescape=True)
    digits = text.replace("-", "")
    if not _PART_OF_AN_ID.fullmatch(text) or len(digits) > _DIGITS:
        return customer
    free = _BITS - 4 * len(digits)
    first = int(digits, 16) << free
    last = first + (1 << free) - 1
    return customer | ORDERS.c.order_id.between(UUID(int=first), UUID(int=last))
