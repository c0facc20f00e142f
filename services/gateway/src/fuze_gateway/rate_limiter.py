"""Rate limits: of callers, of failed authentications by address, of webhooks by sender."""

import ipaddress
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from limits import RateLimitItem, WindowStats, parse_many
from limits.aio.strategies import SlidingWindowCounterRateLimiter as AsyncLimiter
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import SlidingWindowCounterRateLimiter

_IPV6_PREFIX = 64
"""One host can have all addresses of such a network."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class LimitExceeded:
    """A limit is exceeded; a retry after `seconds` may succeed."""

    limit: str
    seconds: int


class Counter(Protocol):
    """Counts hits within a sliding window."""

    async def hit(self, limit: RateLimitItem, *key: str) -> bool:
        """Count a hit; return False, and do not count it, above the limit."""
        ...

    async def test(self, limit: RateLimitItem, *key: str) -> bool:
        """Return whether a hit would be within the limit."""
        ...

    async def get_window_stats(self, limit: RateLimitItem, *key: str) -> WindowStats:
        """Return when the window ends."""
        ...


Count = Callable[..., Awaitable[bool]]


class RateLimiter:
    """One kind of limit, counted by name."""

    def __init__(self, kind: str, limits: str, counter: Counter) -> None:
        self._kind = kind
        self._limits = parse_many(limits)
        self._counter = counter

    async def hit(self, name: str) -> LimitExceeded | None:
        """Count a hit; return the limit that it exceeds, if it does."""
        return await self._first_exceeded(name, self._counter.hit)

    async def check(self, name: str) -> LimitExceeded | None:
        """Return the limit that a hit would exceed, without counting it."""
        return await self._first_exceeded(name, self._counter.test)

    async def _first_exceeded(self, name: str, is_within: Count) -> LimitExceeded | None:
        try:
            for limit in self._limits:
                if not await is_within(limit, self._kind, name):
                    stats = await self._counter.get_window_stats(limit, self._kind, name)
                    seconds = max(math.ceil(stats.reset_time - time.time()), 1)
                    return LimitExceeded(limit=str(limit), seconds=seconds)
        except Exception as error:  # noqa: BLE001 - each storage driver has errors of its own
            # An outage of Redis must not become an outage of the API. The error may have its URL.
            _log.warning("rate limit not enforced", error=type(error).__name__)
        return None


class InMemoryCounter:
    """Counts within this process. The library's asyncio variant starts a background task."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def hit(self, limit: RateLimitItem, *key: str) -> bool:
        """Count a hit; return False, and do not count it, above the limit."""
        return self._limiter.hit(limit, *key)

    async def test(self, limit: RateLimitItem, *key: str) -> bool:
        """Return whether a hit would be within the limit."""
        return self._limiter.test(limit, *key)

    async def get_window_stats(self, limit: RateLimitItem, *key: str) -> WindowStats:
        """Return when the window ends."""
        return self._limiter.get_window_stats(limit, *key)


def build_counter(storage_url: str) -> Counter:
    """Return a counter in this process (`memory://`) or in Redis, for all gateways together."""
    if storage_url == "memory://":
        return InMemoryCounter()
    return AsyncLimiter(storage_from_string(f"async+{storage_url}", implementation="redispy"))


def get_client_network(client: tuple[str, int] | None) -> str:
    """Return the name by which a client is counted: its address, or its IPv6 network."""
    host = client[0] if client else "unknown"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a Unix socket, or a proxy's name for the client
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))
