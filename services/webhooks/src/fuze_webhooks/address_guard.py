"""Connections to public addresses only.

A name is resolved once for each connection, every address is checked, and the connection is made
to a checked address: a name that resolves to another address the next time changes nothing.
"""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

import httpcore

from fuze_contracts.webhooks import is_public_address

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name."""

_MAX_CONNECT_SECONDS = 4.0
"""Of one of several addresses: a network may drop what is sent to those of IPv6, for example."""


class RefusedAddressError(Exception):
    """The host has an address that is not public."""


class Resolver:
    """Looks names up, each in one thread at a time: a slow name server delays its own names.

    A lookup that is running delays no exit of the process, as it would in an executor.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host; `OSError` if it has none."""
        key = (host, port)
        lookup = self._running.get(key)
        if lookup is None:
            lookup = asyncio.get_running_loop().create_future()
            self._running[key] = lookup
            lookup.add_done_callback(lambda done: self._forget(key, done))
            threading.Thread(target=_complete, args=(lookup, host, port), daemon=True).start()
        return await asyncio.shield(lookup)

    def _forget(self, key: tuple[str, int], done: "asyncio.Future[Sequence[str]]") -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # retrieved, where nothing waits for it any more


def _complete(lookup: "asyncio.Future[Sequence[str]]", host: str, port: int) -> None:
    loop = lookup.get_loop()
    with suppress(RuntimeError):  # the loop is closed: nothing waits any more
        try:
            addresses = _look_up(host, port)
        except Exception as error:  # noqa: BLE001 - raised where the lookup is awaited
            loop.call_soon_threadsafe(lookup.set_exception, error)
        else:
            loop.call_soon_threadsafe(lookup.set_result, addresses)


def _look_up(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """The network of an HTTP client. With `allow_private` any address is allowed."""

    def __init__(self, resolve: Resolve, *, allow_private: bool) -> None:
        self._resolve = resolve
        self._allow_private = allow_private
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - as in the base class
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that accepts a connection.

        Raises:
            RefusedAddressError: one of the addresses is not public.
            httpcore.ConnectError: the name has no address, or none accepts a connection.

        """
        try:
            addresses = await self._resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
        for address in addresses:
            if not self._allow_private and not is_public_address(address):
                raise RefusedAddressError(f"{host} has the address {address}, which is not public")
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        limit = timeout if len(addresses) == 1 else _MAX_CONNECT_SECONDS
        for address in addresses:
            try:
                return await self._backend.connect_tcp(
                    address, port, limit, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Sleep between the attempts to connect."""
        await self._backend.sleep(seconds)
