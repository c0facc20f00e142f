"""All proxies of a stack, in a thread of their own: a busy workload must not slow the network."""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

from fuze_chaos.proxy.tcp_proxy import TcpProxy

_SWITCH_SECONDS = 0.001


class ProxyPool:
    """Proxies by name, `payment->postgres`, each to a server's port; an async context manager.

    The workload and the proxies share one interpreter. While the pool is open its threads switch
    more often than by default, because proxies do little work and must do it without delay.
    """

    def __init__(self, servers: Mapping[str, int]) -> None:
        self._proxies = {name: TcpProxy(name, 0, port) for name, port in servers.items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._default_switch_interval = sys.getswitchinterval()

    @property
    def ports(self) -> dict[str, int]:
        """The listening port of each proxy."""
        return {name: proxy.port for name, proxy in self._proxies.items()}

    def counters(self, name: str) -> tuple[int, int]:
        """Return how many bytes a proxy has passed, and how many connections it has reset."""
        proxy = self._proxies[name]
        return proxy.bytes_passed, proxy.resets

    async def apply(self, name: str, change: Callable[[TcpProxy], None]) -> None:
        """Inject a fault into a proxy, or heal it; return once it is in effect."""

        async def run_change() -> None:
            change(self._proxies[name])

        await self._run_in_thread(run_change())

    async def heal(self) -> None:
        """Heal every proxy."""
        for name in self._proxies:
            await self.apply(name, TcpProxy.heal)

    async def __aenter__(self) -> Self:
        """Start to listen."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread.start()
        for proxy in self._proxies.values():
            await self._run_in_thread(proxy.open())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every proxy and connection."""
        for proxy in self._proxies.values():
            await self._run_in_thread(proxy.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()
        sys.setswitchinterval(self._default_switch_interval)

    async def _run_in_thread(self, coroutine: Coroutine[Any, Any, None]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))
