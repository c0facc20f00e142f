"""Events as they happen, for many readers, at the price of one.

One task asks PostgreSQL how far the orders have come that somebody reads, and fetches what is new
once, however many read it. `seq` counts an order's events without gaps, so nothing that commits
late is passed over. It survives PostgreSQL's restart by itself, and asks nothing while nobody
reads.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from fuze_contracts.read_models import PublishedEvent
from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.reads import OrderReads

_MOST_ORDERS_A_QUERY = 500

_log = structlog.get_logger(__name__)


class TooManyReadersError(Exception):
    """As many read as this process can serve."""


@dataclass
class _Topic:
    """One order that somebody reads: its timeline so far."""

    events: list[PublishedEvent] = field(default_factory=list)
    readers: int = 0
    is_closed: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def announce(self) -> None:
        """Wake everyone who waits now; whoever comes later waits for the next change."""
        self.changed.set()
        self.changed = asyncio.Event()


class EventFeed:
    """The timelines that somebody reads, kept up to date."""

    def __init__(self, reads: OrderReads, *, poll: timedelta, most_readers: int) -> None:
        self._reads = reads
        self._poll = poll.total_seconds()
        self._left = most_readers
        self._topics: dict[UUID, _Topic] = {}
        self._task: asyncio.Task[None] | None = None
        self._hung_up = False

    async def open(self, order_id: UUID) -> "Reader | None":
        """Return a reader of the order's timeline, or None where there is no such order.

        Raises:
            TooManyReadersError: try another process, or later.
            SourceUnavailableError: PostgreSQL does not answer.

        """
        if self._left <= 0:
            raise TooManyReadersError
        self._left -= 1
        topic = self._topics.setdefault(order_id, _Topic())
        topic.readers += 1
        reader = Reader(self, order_id, topic)
        try:
            if not topic.events:
                await self._catch_up([order_id])
        except BaseException:
            self.release(reader)
            raise
        if not topic.events:
            self.release(reader)
            return None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        return reader

    def release(self, reader: "Reader") -> None:
        """Forget a reader, and its order where it was the last."""
        self._left += 1
        reader.topic.readers -= 1
        if not reader.topic.readers:
            self._topics.pop(reader.order_id, None)

    def hang_up(self) -> None:
        """End every stream: the process stops, and its readers come back to another."""
        self._hung_up = True
        for topic in self._topics.values():
            topic.announce()

    async def aclose(self) -> None:
        """End the task that asks."""
        self.hang_up()
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def is_hung_up(self) -> bool:
        """Whether the process stops."""
        return self._hung_up

    async def _follow(self) -> None:
        while self._topics:
            await asyncio.sleep(self._poll)
            watched = [order_id for order_id, topic in self._topics.items() if not topic.is_closed]
            for first in range(0, len(watched), _MOST_ORDERS_A_QUERY):
                try:
                    await self._catch_up(watched[first : first + _MOST_ORDERS_A_QUERY])
                except SourceUnavailableError:
                    pass  # it is logged where it happens; the readers wait, and miss nothing
                except Exception:  # noqa: BLE001 - one order must not silence all the others
                    _log.exception("events cannot be read")

    async def _catch_up(self, order_ids: list[UUID]) -> None:
        """Fetch what is new, and wake whoever waits for it."""
        now = datetime.now(UTC)
        found = await self._reads.progress(order_ids)
        seen = {one.order_id: self._seen(one.order_id) for one in found}
        fresh = await self._reads.events_after(
            {one.order_id: seen[one.order_id] for one in found if one.last_seq > seen[one.order_id]}
        )
        for event in fresh:
            # Another may have fetched it meanwhile, or its last reader may have left.
            if event.seq == self._seen(event.order_id) + 1 and event.order_id in self._topics:
                self._topics[event.order_id].events.append(event)
        closed = {one.order_id for one in found if one.is_closed(now)}
        for order_id in closed | {event.order_id for event in fresh}:
            if topic := self._topics.get(order_id):
                topic.is_closed = order_id in closed
                topic.announce()

    def _seen(self, order_id: UUID) -> int:
        topic = self._topics.get(order_id)
        return len(topic.events) if topic else 0


class Reader:
    """One reader of one order's timeline; whoever opened it closes it."""

    def __init__(self, feed: EventFeed, order_id: UUID, topic: _Topic) -> None:
        self._feed = feed
        self.order_id = order_id
        self.topic = topic

    def has_read_all(self, after: int) -> bool:
        """Whether nothing will ever come after event `after`."""
        return self.topic.is_closed and after >= len(self.topic.events)

    async def events(
        self, after: int, *, heartbeat: timedelta
    ) -> AsyncIterator[PublishedEvent | None]:
        """Yield each event after `after` as it happens; None where there was none for a while.

        It ends when the order has ended, or the process stops.
        """
        while True:
            changed = self.topic.changed
            for event in self.topic.events[after:]:
                yield event
                after = event.seq
            if self.has_read_all(after) or self._feed.is_hung_up:
                return
            try:
                async with asyncio.timeout(heartbeat.total_seconds()):
                    await changed.wait()
            except TimeoutError:
                yield None

    def close(self) -> None:
        """Give the place to somebody else."""
        self._feed.release(self)
