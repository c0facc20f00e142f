"""The feed: the events of all orders, in commit order, page by page.

A sequence is no order of commits: a transaction can take number 7 and commit after number 8 was
read. So the feed is sorted by transaction, and its view ends before the oldest transaction that is
still open (`fuze_contracts.read_models.EVENT_FEED_VIEW`). Such a transaction delays the feed.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from itsdangerous import BadSignature, URLSafeSerializer
from pydantic import SecretStr
from sqlalchemy.dialects.postgresql import JSONB

from fuze_contracts.read_models import EVENT_FEED_VIEW, PublishedFeedEvent
from fuze_gateway.database import Database, Row, Statement, published_view
from fuze_gateway.orders.event_broadcaster import EventBroadcaster
from fuze_gateway.orders.order_search import InvalidCursorError

Position = tuple[int, int]
"""A transaction id, and a position in it."""

_START: Position = (0, 0)
_MAX_SCANNED_EVENTS = 10_000
"""So many events of other owners are passed over within the time of a page."""

_FEED = published_view(
    EVENT_FEED_VIEW,
    PublishedFeedEvent,
    order_id=sa.Uuid(),
    seq=sa.Integer(),
    details=JSONB(),
    transaction_id=sa.BigInteger(),
    position=sa.BigInteger(),
    owner=sa.Text(),
)


def _bigint(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger())


def _page_query() -> sa.Select[Any]:
    """Return the query of one page.

    Each row has an event, the position up to which the page was scanned, and how many events that
    were. Without an event of the owner there is one row, without any event there is none.
    """
    scanned = (
        sa.select(_FEED)
        .where(
            sa.tuple_(_FEED.c.transaction_id, _FEED.c.position)
            > sa.tuple_(_bigint("after_transaction_id"), _bigint("after_position"))
        )
        .order_by(_FEED.c.transaction_id, _FEED.c.position)
        .limit(_bigint("max_scanned"))
        .cte("scanned")
    )
    end = (
        sa.select(
            scanned.c.transaction_id.label("end_transaction_id"),
            scanned.c.position.label("end_position"),
            sa.select(sa.func.count()).select_from(scanned).scalar_subquery().label("scanned"),
        )
        .order_by(scanned.c.transaction_id.desc(), scanned.c.position.desc())
        .limit(1)
        .subquery("scanned_end")
    )
    owner = sa.bindparam("owner", type_=sa.Text())
    found = (
        sa.select(scanned)
        .where(owner.is_(None) | (scanned.c.owner == owner))
        .order_by(scanned.c.transaction_id, scanned.c.position)
        .limit(_bigint("size"))
        .subquery("found")
    )
    return (
        sa.select(end, found)
        .select_from(end.outerjoin(found, sa.true()))
        .order_by(found.c.transaction_id, found.c.position)
    )


_PAGE = Statement.compile(_page_query())
_LAST = Statement.compile(
    sa.select(_FEED.c.transaction_id, _FEED.c.position)
    .order_by(_FEED.c.transaction_id.desc(), _FEED.c.position.desc())
    .limit(1)
)


@dataclass(frozen=True, kw_only=True)
class FeedPage:
    """Events, the cursor after them, and whether more events are there already."""

    events: list[PublishedFeedEvent]
    next: str
    has_more: bool


class EventFeed:
    """Pages of the feed; `UpstreamUnavailableError` when PostgreSQL is unavailable."""

    def __init__(
        self,
        database: Database,
        broadcaster: EventBroadcaster,
        cursor_signing_key: SecretStr,
        poll_interval: timedelta,
    ) -> None:
        self._database = database
        self._broadcaster = broadcaster
        self._cursors = URLSafeSerializer(cursor_signing_key.get_secret_value(), salt="events")
        self._poll_seconds = poll_interval.total_seconds()
        self._polling = asyncio.Lock()
        self._last_position = _START
        self._polled_at = float("-inf")

    async def get_page(
        self,
        cursor: str | None,
        *,
        owner: str | None,
        size: int,
        wait: timedelta,
        caller: str | None = None,
    ) -> FeedPage:
        """Return the events after a cursor, waiting up to `wait` for the first one.

        Without a cursor the feed starts at the oldest event. With an owner it has the events of the
        owner's orders only. A waiting caller counts as one event stream.

        Raises:
            InvalidCursorError: the cursor is none of this feed.
            TooManySubscriptionsError: this process or the caller is at its limit of streams.

        """
        after = self._parse_cursor(cursor) if cursor else _START
        page, after = await self._read(after, owner, size)
        if not wait or page.events or page.has_more:
            return page
        deadline = asyncio.get_running_loop().time() + wait.total_seconds()
        with self._broadcaster.reserve(caller):
            while not page.events and not page.has_more:
                if not await self._wait_for_event(after, deadline):
                    break
                page, after = await self._read(after, owner, size)
        return page

    async def get_end(self) -> str:
        """Return the cursor behind the latest event."""
        return str(self._cursors.dumps(await self._read_end()))

    async def _read(
        self, after: Position, owner: str | None, size: int
    ) -> tuple[FeedPage, Position]:
        max_scanned = size if owner is None else _MAX_SCANNED_EVENTS
        rows = await self._database.fetch(
            _PAGE,
            after_transaction_id=after[0],
            after_position=after[1],
            max_scanned=max_scanned,
            owner=owner,
            size=size,
        )
        events = [PublishedFeedEvent.model_validate(row) for row in rows if row["order_id"]]
        end = _get_end(rows, events, size) or after
        has_more = bool(rows) and (rows[0]["scanned"] == max_scanned or len(events) == size)
        return FeedPage(events=events, next=str(self._cursors.dumps(end)), has_more=has_more), end

    async def _wait_for_event(self, after: Position, deadline: float) -> bool:
        """Return True once the feed continues, or False at the deadline and at shutdown."""
        now = asyncio.get_running_loop().time
        while not self._broadcaster.is_closing and (left := deadline - now()) > 0:
            await asyncio.sleep(min(self._poll_seconds, left))
            if await self._get_last_position() > after:
                return True
        return False

    async def _get_last_position(self) -> Position:
        """Return the end of the feed, read once per interval however many callers wait."""
        now = asyncio.get_running_loop().time
        async with self._polling:
            if now() - self._polled_at >= self._poll_seconds:
                self._last_position = await self._read_end()
                self._polled_at = now()
        return self._last_position

    async def _read_end(self) -> Position:
        rows = await self._database.fetch(_LAST)
        return (rows[0]["transaction_id"], rows[0]["position"]) if rows else _START

    def _parse_cursor(self, cursor: str) -> Position:
        try:
            transaction_id, position = self._cursors.loads(cursor)
        except BadSignature as error:
            raise InvalidCursorError from error
        return transaction_id, position


def _get_end(rows: list[Row], events: list[PublishedFeedEvent], size: int) -> Position | None:
    """Return the position of the last event that was returned or passed over, if there is one."""
    if not rows:
        return None
    if len(events) == size:
        return events[-1].transaction_id, events[-1].position
    return rows[0]["end_transaction_id"], rows[0]["end_position"]
