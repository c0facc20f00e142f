"""All links of a stack, in a thread of their own: a busy load must not slow what it loads."""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Self

from fuze_chaos.links import Link

_SWITCH_SECONDS = 0.001


class Street:
    """Links by name, `payment->postgres`, each to a server's port; open for the length of a block.

    The load and the links share one interpreter: threads change places more often than usual
    meanwhile, since a link has little to do, and that at once.
    """

    def __init__(self, servers: Mapping[str, int]) -> None:
        self._links = {name: Link(name, 0, port) for name, port in servers.items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._usual_switch = sys.getswitchinterval()

    @property
    def ports(self) -> dict[str, int]:
        """Where each link listens."""
        return {name: link.port for name, link in self._links.items()}

    def passed(self, name: str) -> tuple[int, int]:
        """Return how many bytes a link has handed on, and how many connections it has reset."""
        link = self._links[name]
        return link.passed, link.resets

    async def tell(self, name: str, what: Callable[[Link], None]) -> None:
        """Break a link, or heal it; return once it is done."""

        async def told() -> None:
            what(self._links[name])

        await self._there(told())

    async def heal(self) -> None:
        """Heal every link."""
        for name in self._links:
            await self.tell(name, Link.heal)

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._thread.start()
        for link in self._links.values():
            await self._there(link.open())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Listen no more, and leave nothing open."""
        for link in self._links.values():
            await self._there(link.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()
        sys.setswitchinterval(self._usual_switch)

    async def _there(self, doing: Coroutine[Any, Any, None]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(doing, self._loop))
