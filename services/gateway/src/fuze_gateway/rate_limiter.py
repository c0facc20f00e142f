"""Rate limits: of callers, of failed authentications by address, of webhooks by sender."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog
from limits import RateLimitItem, WindowStats, parse_many
from limits.aio.strategies import SlidingWindowCounterRateLimiter as AsyncLimiter
from limits.storage import storage_from_string

_IPV6_PREFIX = 64
"""One host can have all addresses of such a network."""

_MAX_COUNTED_KEYS = 100_000
"""Callers and addresses; beyond it the one that was quiet for longest is forgotten."""

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


class _Window(NamedTuple):
    number: int
    """Of the windows since 1970."""
    hits: int
    hits_before: int
    """Those of the window before."""
    elapsed: float
    """Between 0, the window's start, and 1."""

    @property
    def weighted_hits(self) -> int:
        return math.floor(self.hits_before * (1 - self.elapsed)) + self.hits


class InMemoryCounter:
    """Counts within this process, as the library does in Redis: a hit costs two look-ups.

    The library's own storage starts a thread every 10 ms while hits come, to search all its keys.
    """

    def __init__(self) -> None:
        self._windows: OrderedDict[str, _Window] = OrderedDict()

    async def hit(self, limit: RateLimitItem, *key: str) -> bool:
        """Count a hit; return False, and do not count it, above the limit."""
        window = self._window(limit, key)
        if window.weighted_hits >= limit.amount:
            return False
        name = limit.key_for(*key)
        self._windows[name] = window._replace(hits=window.hits + 1)
        self._windows.move_to_end(name)
        if len(self._windows) > _MAX_COUNTED_KEYS:
            self._windows.popitem(last=False)
        return True

    async def test(self, limit: RateLimitItem, *key: str) -> bool:
        """Return whether a hit would be within the limit."""
        return self._window(limit, key).weighted_hits < limit.amount

    async def get_window_stats(self, limit: RateLimitItem, *key: str) -> WindowStats:
        """Return when a hit is within the limit again, and how many are now."""
        window = self._window(limit, key)
        remaining = max(limit.amount - window.weighted_hits, 0)
        if remaining:
            return WindowStats(time.time(), remaining)
        if not limit.amount:  # nothing is ever within the limit
            wait = 1.0
        elif window.hits < limit.amount:  # those of the window before have to lose weight
            wait = 1 - (limit.amount - window.hits) / window.hits_before
        else:
            wait = 2 - limit.amount / window.hits
        return WindowStats((window.number + wait) * limit.get_expiry(), remaining)

    def _window(self, limit: RateLimitItem, key: tuple[str, ...]) -> _Window:
        number, elapsed = divmod(time.time() / limit.get_expiry(), 1)
        stored = self._windows.get(limit.key_for(*key))
        if stored is None or stored.number < number - 1:
            hits = hits_before = 0
        elif stored.number < number:
            hits, hits_before = 0, stored.hits
        else:
            hits, hits_before = stored.hits, stored.hits_before
        return _Window(int(number), hits, hits_before, elapsed)


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
