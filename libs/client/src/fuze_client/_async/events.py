"""Events: of one order, as they happen, and of all orders."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal
from uuid import UUID

import httpx
from httpx_sse import EventSource

from fuze_client._async.transport import AsyncTransport, parse, to_query
from fuze_client.errors import UnexpectedResponseError
from fuze_client.models import (
    Event,
    FeedEvent,
    ListEventsResponse,
    ListFeedResponse,
    StreamTicketResponse,
)

_RECONNECT_SECONDS = 2.0  # until the stream says another


class AsyncEvents:
    """The events of a gateway's orders."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self, order_id: UUID | str) -> Sequence[Event]:
        """Return the past events of an order."""
        path = ("orders", order_id, "events")
        return (await self._transport.get(path, ListEventsResponse)).events

    async def create_ticket(self, order_id: UUID | str) -> StreamTicketResponse:
        """Return a credential that opens the event stream of this order, for a minute."""
        path = ("orders", order_id, "events", "ticket")
        return await self._transport.post(path, StreamTicketResponse)

    async def stream(
        self, order_id: UUID | str, *, after: int = 0, ticket: str | None = None
    ) -> AsyncIterator[Event]:
        """Yield the past events of an order, then each new one, until the order has ended.

        A stream that breaks, or reaches its lifetime, is resumed after its last event. `after` is
        the `seq` to resume from. With a `ticket` no other credential is sent; once it has expired,
        resuming raises the problem `unauthenticated`: continue with another ticket.
        """
        reconnect_seconds = _RECONNECT_SECONDS
        while True:
            response = await self._open(order_id, after, ticket)
            has_progressed = False
            try:
                if response.status_code == httpx.codes.NO_CONTENT:
                    return
                async for message in EventSource(response).aiter_sse():
                    if message.retry is not None:
                        reconnect_seconds = message.retry / 1000
                    if message.data:
                        event = parse(Event, message.data, response.url)
                        after, has_progressed = event.seq, True
                        yield event
            except httpx.TransportError:
                pass  # it broke; it is resumed after the last event
            finally:
                await response.aclose()
            if not has_progressed:
                await asyncio.sleep(reconnect_seconds)

    async def get_page(
        self,
        *,
        after: str | None = None,
        start: Literal["oldest", "latest"] | None = None,
        limit: int = 100,
        wait: int = 0,
    ) -> ListFeedResponse:
        """Return the events of all orders after a cursor, in commit order.

        Without `after`, a page begins at the oldest event; with `start="latest"` behind all that
        are there. Without an event, it is returned after `wait` (0 to 30) seconds.
        """
        params = to_query({"after": after, "start": start, "limit": limit, "wait": wait})
        return await self._transport.get(("events",), ListFeedResponse, params)

    async def follow(self, *, after: str | None = None) -> AsyncIterator[ListFeedResponse]:
        """Yield pages of the feed of all orders, without end; each has at least one event.

        Process its events, then store `next`: `after` continues there, without a gap.
        """
        while True:
            page = await self.get_page(after=after, limit=500, wait=30)
            after = page.next
            if page.events:
                yield page

    async def list_all(self, *, after: str | None = None) -> AsyncIterator[FeedEvent]:
        """Yield the events of all orders, in commit order, until there is no other now."""
        while True:
            page = await self.get_page(after=after, limit=500)
            after = page.next
            for event in page.events:
                yield event
            if not page.has_more:
                return

    async def _open(self, order_id: UUID | str, after: int, ticket: str | None) -> httpx.Response:
        params = {"ticket": ticket} if ticket else {}
        headers = {"Last-Event-ID": str(after)} if after else {}
        path = ("orders", order_id, "events", "stream")
        response = await self._transport.open_stream(path, params, headers)
        kind = response.headers.get("Content-Type", "")
        if response.status_code != httpx.codes.NO_CONTENT and "text/event-stream" not in kind:
            await response.aclose()
            raise UnexpectedResponseError(f"{response.url.path} is no event stream, but {kind!r}")
        return response
