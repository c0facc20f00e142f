"""The provider's books compared with ours, once more and for the last time in a run."""

import asyncio
import time

from temporalio.client import Client

from fuze_chaos import books

_SCHEDULE = "reconcile-payments"
_WITHIN_SECONDS = 90.0
_LOOKS_EVERY_SECONDS = 5


async def reconcile(dsn: str, temporal: Client) -> None:
    """Have both compared until they agree, or time is over; nothing is compared afterwards."""
    schedule = temporal.get_schedule_handle(_SCHEDULE)
    deadline = time.monotonic() + _WITHIN_SECONDS
    while time.monotonic() < deadline:
        await schedule.trigger()
        await asyncio.sleep(_LOOKS_EVERY_SECONDS)
        if await books.is_reconciled(dsn):
            break
    # One that has just begun as Temporal's book is read would look like one that hangs.
    await schedule.pause(note="the books are read")
    while (await schedule.describe()).info.running_actions and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
