"""Orders that are accepted a moment before they are recorded."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from fuze_gateway import problems
from fuze_gateway.dependencies import Sources

Found = TypeVar("Found")

_PAUSE_SECONDS = 0.05


async def when_recorded(
    order_id: UUID, sources: Sources, read: Callable[[], Awaitable[Found | None]]
) -> Found:
    """Return what `read` finds, which for an order that was just placed may take a moment.

    Whoever was told that an order is accepted must not be told that there is none.

    Raises:
        Problem: there is no such order, or it is still not recorded after `read_timeout`.
        SourceUnavailableError: that cannot be said now.

    """
    if found := await read():
        return found
    if not await sources.live.exists(order_id):
        # It may have been recorded, have ended and been swept away since we looked.
        if found := await read():
            return found
        raise problems.order_not_found(order_id)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + sources.settings.read_timeout.total_seconds()
    while loop.time() < deadline:
        await asyncio.sleep(_PAUSE_SECONDS)
        if found := await read():
            return found
    raise problems.unavailable(f"Order {order_id} is accepted, and not recorded yet.")
