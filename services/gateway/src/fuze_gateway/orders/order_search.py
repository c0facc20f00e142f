"""Search of orders: filters, sort order and keyset pagination.

A page starts after the last order of the previous page, so that every page costs the same, and an
order that is placed in between shifts no page.
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

from fuze_contracts.order_states import OrderStatus
from fuze_contracts.read_models import PublishedOrder
from fuze_gateway.database import Database, Statement
from fuze_gateway.orders.queries import ORDER_COLUMNS, ORDERS

Sort = Literal["-created_at", "created_at", "-updated_at", "updated_at"]

_ID_PREFIX = re.compile(r"[0-9a-f]{4,8}(-[0-9a-f-]{0,27})?", re.IGNORECASE)
_UUID_BITS = 128
_UUID_DIGITS = 32

MAX_SORTED_MATCHES = 10_000
"""So many matches can be sorted within the time of a page."""


class InvalidCursorError(Exception):
    """The cursor's signature is invalid, or it belongs to other filters."""


@dataclass(frozen=True, kw_only=True)
class OrderFilter:
    """The filters and the sort order. None matches any order."""

    statuses: tuple[OrderStatus, ...] = ()
    customer: str | None = None
    reference: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    updated_from: datetime | None = None
    updated_before: datetime | None = None
    needs_attention: bool | None = None
    text: str | None = None
    owner: str | None = None
    sort: Sort = "-created_at"

    @property
    def digest(self) -> str:
        """Return a digest of the filter, which binds a cursor to it."""
        canonical = json.dumps(asdict(self), default=str, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Page:
    """Orders, and the cursor of the next page if there is one."""

    orders: list[PublishedOrder]
    next: str | None


class OrderSearch:
    """Pages of orders; `UpstreamUnavailableError` when PostgreSQL is unavailable."""

    def __init__(self, database: Database, cursor_signing_key: SecretStr) -> None:
        self._database = database
        self._cursors = URLSafeSerializer(cursor_signing_key.get_secret_value(), salt="orders")

    async def get_page(self, criteria: OrderFilter, *, cursor: str | None, size: int) -> Page:
        """Return the first page, or the page of a cursor.

        Raises:
            InvalidCursorError: the cursor does not belong to these filters.

        """
        after = self._parse_cursor(cursor, criteria) if cursor else None
        many = criteria.text is None or await self._matches_many(criteria.text)
        query = page_query(criteria, after, size, many_match=many)
        rows = await self._database.fetch(Statement.compile(query))
        orders = [PublishedOrder.model_validate(row) for row in rows[:size]]
        more = len(rows) > size
        return Page(orders=orders, next=self._create_cursor(orders[-1], criteria) if more else None)

    async def _matches_many(self, text: str) -> bool:
        [counted] = await self._database.fetch(Statement.compile(count_matches_query(text)))
        return bool(counted["matching"] > MAX_SORTED_MATCHES)

    def _create_cursor(self, last: PublishedOrder, criteria: OrderFilter) -> str:
        time: datetime = getattr(last, criteria.sort.removeprefix("-"))
        position = [time.isoformat(), last.order_id.hex, criteria.digest]
        return str(self._cursors.dumps(position))

    def _parse_cursor(self, cursor: str, criteria: OrderFilter) -> tuple[datetime, UUID]:
        try:
            time, order_id, digest = self._cursors.loads(cursor)
        except BadSignature as error:
            raise InvalidCursorError from error
        if digest != criteria.digest:
            raise InvalidCursorError
        return datetime.fromisoformat(time), UUID(order_id)


def page_query(
    criteria: OrderFilter,
    after: tuple[datetime, UUID] | None,
    size: int,
    *,
    many_match: bool = True,
) -> sa.Select[tuple[object, ...]]:
    """Return the query of one page plus one order, which shows whether there is a next page.

    `many_match` is whether more than `MAX_SORTED_MATCHES` orders match the text. PostgreSQL would
    estimate it, and a wrong estimate reads the whole table. Few matches are looked up by index and
    sorted; many are found by filtering a scan in sort order.
    """
    orders: sa.FromClause = ORDERS
    conditions: list[sa.ColumnElement[bool]] = []
    if criteria.text is not None:
        if many_match:
            conditions.append(_prefix_match(criteria.text, unindexed=True))
        else:
            found = sa.select(*ORDER_COLUMNS).where(_prefix_match(criteria.text))
            orders = found.cte("found").prefix_with("MATERIALIZED", dialect="postgresql")
    time, order_id = orders.c[criteria.sort.removeprefix("-")], orders.c.order_id
    is_descending = criteria.sort.startswith("-")
    conditions += _conditions(orders, criteria)
    if after is not None:
        position = sa.tuple_(time, order_id)
        last = sa.tuple_(
            sa.literal(after[0], sa.DateTime(timezone=True)), sa.literal(after[1], sa.Uuid())
        )
        conditions.append(position < last if is_descending else position > last)
    query = sa.select(*(orders.c[name] for name in PublishedOrder.model_fields)).where(*conditions)
    if is_descending:
        return query.order_by(time.desc(), order_id.desc()).limit(size + 1)
    return query.order_by(time, order_id).limit(size + 1)


def count_matches_query(text: str) -> sa.Select[int]:
    """Return the query that counts the matches of a text, up to `MAX_SORTED_MATCHES` plus one."""
    found = (
        sa.select(sa.literal(1).label("one"))
        .where(_prefix_match(text))
        .limit(MAX_SORTED_MATCHES + 1)
    )
    return sa.select(sa.func.count().label("matching")).select_from(found.subquery())


def _conditions(orders: sa.FromClause, criteria: OrderFilter) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if len(criteria.statuses) == 1:
        conditions.append(orders.c.status == criteria.statuses[0].value)
    elif criteria.statuses:
        conditions.append(orders.c.status.in_([status.value for status in criteria.statuses]))
    for name in ("customer", "reference", "owner"):
        value = getattr(criteria, name)
        if value is not None:
            conditions.append(orders.c[name] == value)
    if criteria.created_from is not None:
        conditions.append(orders.c.created_at >= criteria.created_from)
    if criteria.created_before is not None:
        conditions.append(orders.c.created_at < criteria.created_before)
    if criteria.updated_from is not None:
        conditions.append(orders.c.updated_at >= criteria.updated_from)
    if criteria.updated_before is not None:
        conditions.append(orders.c.updated_at < criteria.updated_before)
    if criteria.needs_attention is not None:
        flag = orders.c.needs_attention
        conditions.append(flag if criteria.needs_attention else ~flag)
    return conditions


def _prefix_match(text: str, *, unindexed: bool = False) -> sa.ColumnElement[bool]:
    """Return the condition that the customer or the order id starts with the text.

    `unindexed` wraps the column in an expression, so that PostgreSQL does not use its index.
    """
    name = sa.func.lower(ORDERS.c.customer)
    if unindexed:
        name = sa.func.concat(name, "")
    customer = name.startswith(text.lower(), autoescape=True)
    digits = text.replace("-", "")
    if not _ID_PREFIX.fullmatch(text) or len(digits) > _UUID_DIGITS:
        return customer
    free = _UUID_BITS - 4 * len(digits)
    first = int(digits, 16) << free
    last = first + (1 << free) - 1
    return customer | ORDERS.c.order_id.between(UUID(int=first), UUID(int=last))
