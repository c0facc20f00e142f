"""How often a caller may call."""

import math
import time

import structlog
from limits import RateLimitItem, parse_many
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string

from fuze_gateway import problems
from fuze_gateway.identity.callers import Caller
from fuze_gateway.settings import GatewaySettings

_log = structlog.get_logger(__name__)


class RateLimits:
    """Counts the calls of each caller, in this process or in Redis for all of them.

    A gateway that asks nobody who they are has nobody to count.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._items: list[RateLimitItem] = parse_many(settings.rate_limit)
        storage = storage_from_string(
            f"async+{settings.rate_limit_storage}", implementation="redispy"
        )
        if not isinstance(storage, Storage):
            raise TypeError(f"{settings.rate_limit_storage} is no storage for rate limits")
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def count(self, caller: Caller) -> None:
        """Count a call.

        Raises:
            Problem: 429, it was one too many.

        """
        if caller.name is None:
            return
        for item in self._items:
            try:
                if await self._limiter.hit(item, caller.name):
                    continue
                window = await self._limiter.get_window_stats(item, caller.name)
            except Exception as error:  # noqa: BLE001 - whatever the storage's driver raises
                # Better to serve uncounted than to serve nobody while Redis is away.
                _log.warning("calls are not counted", error=repr(error))
                return
            raise problems.called_too_often(str(item), math.ceil(window.reset_time - time.time()))
