"""How often a caller may call."""

import math
import time

import structlog
from limits import RateLimitItem, WindowStats, parse_many
from limits.aio.strategies import SlidingWindowCounterRateLimiter as SharedLimiter
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

from fuze_gateway import problems
from fuze_gateway.identity.callers import Caller
from fuze_gateway.settings import GatewaySettings

_log = structlog.get_logger(__name__)


class RateLimits:
    """Counts the calls of each caller, in this process or in Redis for all of them.

    A gateway that asks nobody who they are has nobody to count.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._items = parse_many(settings.rate_limit)
        self._counter = _Here() if settings.rate_limit_storage == "memory://" else _Shared(settings)

    async def count(self, caller: Caller) -> None:
        """Count a call.

        Raises:
            Problem: 429, it was one too many.

        """
        if caller.name is None:
            return
        for item in self._items:
            left = await self._counter.seconds_to_wait(item, caller.name)
            if left is not None:
                raise problems.called_too_often(str(item), left)


class _Here:
    """Counts in this process, which never waits: the library's own for asyncio starts a task."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def seconds_to_wait(self, item: RateLimitItem, name: str) -> int | None:
        if self._limiter.hit(item, name):
            return None
        return _seconds(self._limiter.get_window_stats(item, name))


class _Shared:
    """Counts where every gateway does."""

    def __init__(self, settings: GatewaySettings) -> None:
        storage = storage_from_string(
            f"async+{settings.rate_limit_storage}", implementation="redispy"
        )
        self._limiter = SharedLimiter(storage)

    async def seconds_to_wait(self, item: RateLimitItem, name: str) -> int | None:
        try:
            if await self._limiter.hit(item, name):
                return None
            return _seconds(await self._limiter.get_window_stats(item, name))
        except Exception as error:  # noqa: BLE001 - whatever the storage's driver raises
            # Better to serve uncounted than to serve nobody while Redis is away.
            _log.warning("calls are not counted", error=repr(error))
            return None


def _seconds(window: WindowStats) -> int:
    return math.ceil(window.reset_time - time.time())
