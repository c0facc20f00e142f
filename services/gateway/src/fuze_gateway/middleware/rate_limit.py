"""The rate limit of each authenticated caller."""

import math
import time

import structlog
from limits import RateLimitItem, WindowStats, parse_many
from limits.aio.strategies import SlidingWindowCounterRateLimiter as AsyncLimiter
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fuze_gateway.auth.principals import Principal
from fuze_gateway.problems import errors
from fuze_gateway.settings import GatewaySettings

_log = structlog.get_logger(__name__)


class RateLimitMiddleware:
    """ASGI middleware: 429 for a caller that exceeds the limit.

    Unauthenticated callers are not rate-limited: they have no name to count by.
    """

    def __init__(self, app: ASGIApp, *, settings: GatewaySettings) -> None:
        self._app = app
        self._limits = parse_many(settings.rate_limit)
        in_memory = settings.rate_limit_storage == "memory://"
        self._limiter = InMemoryLimiter() if in_memory else RedisLimiter(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, then pass it on or respond 429."""
        principal: Principal | None = scope.get("state", {}).get("principal")
        if principal is not None and principal.name is not None:
            for limit in self._limits:
                wait = await self._limiter.seconds_to_wait(limit, principal.name)
                if wait is not None:
                    problem = errors.rate_limit_exceeded(str(limit), wait)
                    await errors.to_response(Request(scope), problem)(scope, receive, send)
                    return
        await self._app(scope, receive, send)


class InMemoryLimiter:
    """Count within this process. The library's asyncio variant starts a background task."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def seconds_to_wait(self, limit: RateLimitItem, name: str) -> int | None:
        """Count a request; return None if it is within the limit."""
        if self._limiter.hit(limit, name):
            return None
        return _seconds_until_reset(self._limiter.get_window_stats(limit, name))


class RedisLimiter:
    """Count in Redis, for all gateways together."""

    def __init__(self, settings: GatewaySettings) -> None:
        storage = storage_from_string(
            f"async+{settings.rate_limit_storage}", implementation="redispy"
        )
        self._limiter = AsyncLimiter(storage)

    async def seconds_to_wait(self, limit: RateLimitItem, name: str) -> int | None:
        """Count a request; return None if it is within the limit, or Redis is unavailable."""
        try:
            if await self._limiter.hit(limit, name):
                return None
            return _seconds_until_reset(await self._limiter.get_window_stats(limit, name))
        except Exception as error:  # noqa: BLE001 - each storage driver has errors of its own
            # An outage of Redis must not become an outage of the API.
            _log.warning("rate limit not enforced", error=repr(error))
            return None


def _seconds_until_reset(window: WindowStats) -> int:
    return math.ceil(window.reset_time - time.time())
