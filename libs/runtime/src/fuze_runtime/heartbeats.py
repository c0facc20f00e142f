"""Signs of life of an activity that takes long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity


@asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Tell the server, for the length of a block, that the activity's process lives.

    A killed worker is then noticed after the activity's heartbeat time-out, of which this sends
    three beats, rather than when all of its time is over. Without a time-out, or outside of an
    activity, it sends nothing.
    """
    timeout = activity.info().heartbeat_timeout if activity.in_activity() else None
    if timeout is None:
        yield
        return
    beating = asyncio.create_task(_beat(timeout.total_seconds() / 3))
    try:
        yield
    finally:
        beating.cancel()


async def _beat(every_seconds: float) -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(every_seconds)
