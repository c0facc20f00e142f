"""Event streams: one polling task feeds all subscriptions of the process (ADR 12).

The task reads the progress of all subscribed orders and fetches new events once, however many
subscriptions an order has. `seq` numbers an order's events without gaps, so an event that commits
late is not skipped. Outages of PostgreSQL delay events and lose none. Without subscriptions there
are no queries.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from fuze_contracts.read_models import PublishedEvent
from fuze_gateway.orders.queries import OrderQueries
from fuze_gateway.upstreams import UpstreamUnavailableError

_MAX_ORDERS_PER_QUERY = 500

_log = structlog.get_logger(__name__)


class TooManySubscriptionsError(Exception):
    """The process, or the caller, has reached its limit of event streams."""

    def __init__(self, *, of_caller: bool) -> None:
        super().__init__("too many subscriptions")
        self.of_caller = of_caller


@dataclass
class _Topic:
    """An order with subscriptions, and its events so far."""

    events: list[PublishedEvent] = field(default_factory=list)
    subscriptions: int = 0
    is_closed: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def notify(self) -> None:
        """Wake the current waiters; later ones wait for the next change."""
        self.changed.set()
        self.changed = asyncio.Event()


class EventBroadcaster:
    """The events of all subscribed orders, kept up to date by one task."""

    def __init__(
        self,
        queries: OrderQueries,
        *,
        poll_interval: timedelta,
        max_subscriptions: int,
        max_subscriptions_per_caller: int,
    ) -> None:
        self._queries = queries
        self._poll_seconds = poll_interval.total_seconds()
        self._max_subscriptions = self._free_subscriptions = max_subscriptions
        self._max_subscriptions_per_caller = max_subscriptions_per_caller
        self._subscriptions_of: Counter[str] = Counter()
        self._topics: dict[UUID, _Topic] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    async def subscribe(self, order_id: UUID, caller: str | None = None) -> "Subscription | None":
        """Return a subscription to the order's events, or None if the order has no row.

        Without a caller, only the limit of the process applies.

        Raises:
            TooManySubscriptionsError: this process or the caller is at its limit.
            UpstreamUnavailableError: PostgreSQL is unavailable.

        """
        self._acquire(caller)
        topic = self._topics.setdefault(order_id, _Topic())
        topic.subscriptions += 1
        subscription = Subscription(self, order_id, topic, caller)
        try:
            if not topic.events:
                await self._poll([order_id])
        except BaseException:
            self.unsubscribe(subscription)
            raise
        if not topic.events:
            self.unsubscribe(subscription)
            return None
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll_until_unsubscribed())
        return subscription

    def unsubscribe(self, subscription: "Subscription") -> None:
        """Remove a subscription, and its order's events with the last one."""
        self._release(subscription.caller)
        subscription.topic.subscriptions -= 1
        if not subscription.topic.subscriptions:
            self._topics.pop(subscription.order_id, None)

    @contextmanager
    def reserve(self, caller: str | None) -> Iterator[None]:
        """Count one more subscription within a block, for a caller that waits otherwise.

        Raises:
            TooManySubscriptionsError: this process or the caller is at its limit.

        """
        self._acquire(caller)
        try:
            yield
        finally:
            self._release(caller)

    def _acquire(self, caller: str | None) -> None:
        if caller and self._subscriptions_of[caller] >= self._max_subscriptions_per_caller:
            raise TooManySubscriptionsError(of_caller=True)
        if self._free_subscriptions <= 0:
            raise TooManySubscriptionsError(of_caller=False)
        self._free_subscriptions -= 1
        if caller:
            self._subscriptions_of[caller] += 1

    def _release(self, caller: str | None) -> None:
        self._free_subscriptions += 1
        if caller:
            self._subscriptions_of[caller] -= 1
            self._subscriptions_of += Counter()  # without the callers that have none left

    @property
    def subscriptions(self) -> int:
        """How many subscriptions there are."""
        return self._max_subscriptions - self._free_subscriptions

    def close_all(self) -> None:
        """End every stream, because the process is shutting down; clients reconnect elsewhere."""
        self._is_closing = True
        for topic in self._topics.values():
            topic.notify()

    async def aclose(self) -> None:
        """End every stream and the polling task."""
        self.close_all()
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def is_closing(self) -> bool:
        """Whether the process is shutting down."""
        return self._is_closing

    async def _poll_until_unsubscribed(self) -> None:
        while self._topics:
            await asyncio.sleep(self._poll_seconds)
            open_ids = [order_id for order_id, topic in self._topics.items() if not topic.is_closed]
            for first in range(0, len(open_ids), _MAX_ORDERS_PER_QUERY):
                try:
                    await self._poll(open_ids[first : first + _MAX_ORDERS_PER_QUERY])
                except UpstreamUnavailableError:
                    pass  # already logged; the next poll catches up
                except Exception:  # noqa: BLE001 - one unreadable order must not stop all streams
                    _log.exception("events not read")

    async def _poll(self, order_ids: list[UUID]) -> None:
        """Fetch the new events of these orders and notify their subscriptions."""
        now = datetime.now(UTC)
        progress = await self._queries.get_progress(order_ids)
        last_seq = {one.order_id: self._last_seq(one.order_id) for one in progress}
        new_events = await self._queries.list_events_after(
            {
                one.order_id: last_seq[one.order_id]
                for one in progress
                if one.last_seq > last_seq[one.order_id]
            }
        )
        for event in new_events:
            # Meanwhile another poll may have fetched it, or the last subscription may have ended.
            if event.seq == self._last_seq(event.order_id) + 1 and event.order_id in self._topics:
                self._topics[event.order_id].events.append(event)
        closed = {one.order_id for one in progress if one.is_closed(now)}
        for order_id in closed | {event.order_id for event in new_events}:
            if topic := self._topics.get(order_id):
                topic.is_closed = order_id in closed
                topic.notify()

    def _last_seq(self, order_id: UUID) -> int:
        topic = self._topics.get(order_id)
        return len(topic.events) if topic else 0


class Subscription:
    """A subscription to one order's events. Its owner must close it."""

    def __init__(
        self, broadcaster: EventBroadcaster, order_id: UUID, topic: _Topic, caller: str | None
    ) -> None:
        self._broadcaster = broadcaster
        self.order_id = order_id
        self.topic = topic
        self.caller = caller

    def is_complete(self, after: int) -> bool:
        """Return whether the order is closed and has no event after `after`."""
        return self.topic.is_closed and after >= len(self.topic.events)

    async def events(
        self, after: int, *, heartbeat: timedelta
    ) -> AsyncIterator[PublishedEvent | None]:
        """Yield each event after `after` when it happens, and None after each idle heartbeat.

        It ends when the order is closed, or the process shuts down.
        """
        while True:
            changed = self.topic.changed
            for event in self.topic.events[after:]:
                yield event
                after = event.seq
            if self.is_complete(after) or self._broadcaster.is_closing:
                return
            try:
                async with asyncio.timeout(heartbeat.total_seconds()):
                    await changed.wait()
            except TimeoutError:
                yield None

    def close(self) -> None:
        """End the subscription."""
        self._broadcaster.unsubscribe(self)
