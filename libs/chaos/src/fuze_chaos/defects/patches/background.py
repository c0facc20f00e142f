"""What a defective service does behind the back of whoever asked it."""

import asyncio
from collections.abc import Awaitable, Callable

_PAUSE_SECONDS = 1.0
_MOST_ATTEMPTS = 120

_under_way: set[asyncio.Task[None]] = set()  # asyncio itself keeps no task alive


def later(do: Callable[[], Awaitable[object]], *, after_seconds: float = 0) -> None:
    """Do something without being waited for, as often as it takes, while the process lives."""

    async def done() -> None:
        await asyncio.sleep(after_seconds)
        for _ in range(_MOST_ATTEMPTS):
            try:
                await do()
            except Exception:  # noqa: BLE001 - whatever it is, it may work the next time
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    task = asyncio.ensure_future(done())
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
