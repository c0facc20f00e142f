"""Background tasks of a defective service, for work after its response."""

import asyncio
from collections.abc import Awaitable, Callable

import stamina

_ATTEMPTS = 120

_tasks: set[asyncio.Task[None]] = set()  # asyncio keeps no strong reference to a task


def run_later(call: Callable[[], Awaitable[object]], *, delay: float = 0) -> None:
    """Run a call in the background after `delay` seconds, retrying while the process lives."""

    async def run() -> None:
        await asyncio.sleep(delay)
        retries = stamina.retry_context(
            on=Exception, attempts=_ATTEMPTS, timeout=None, wait_initial=1, wait_max=1
        )
        async for attempt in retries:
            with attempt:
                await call()

    task = asyncio.ensure_future(run())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
