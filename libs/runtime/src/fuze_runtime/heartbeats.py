"""Heartbeats of a long activity."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity


@asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Send heartbeats while the block runs.

    Temporal then detects a killed worker after the activity's heartbeat timeout and not only after
    its start-to-close timeout. Three heartbeats are sent in each heartbeat timeout. Without a
    heartbeat timeout, or outside an activity, none is sent.
    """
    timeout = activity.info().heartbeat_timeout if activity.in_activity() else None
    if timeout is None:
        yield
        return
    sending = asyncio.create_task(_send_heartbeats(timeout.total_seconds() / 3))
    try:
        yield
    finally:
        sending.cancel()


async def _send_heartbeats(interval_seconds: float) -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(interval_seconds)
