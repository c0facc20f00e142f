"""What the tests of links stand on: a server, a link to it, and whoever connects."""

import asyncio
import random
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, closing

import pytest

from fuze_chaos.connections import Connection
from fuze_chaos.links import Link

MUCH = random.Random(1).randbytes(32 * 1024 * 1024)  # noqa: S311 - the same each time
FOR_EVER = 3600.0


class Peer:
    """A client or a server at one end of a connection."""

    def __init__(self, own: socket.socket) -> None:
        own.setblocking(False)
        self.socket = own

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def hear(self, count: int) -> bytes:
        heard = bytearray()
        while len(heard) < count and (more := await self.hear_some()):
            heard += more
        return bytes(heard)

    async def hear_some(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.socket, 65536)

    def end(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)


class Street:
    """A server that listens, a link to it, and whoever connects."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.server.setblocking(False)
        self.link = Link("payment->postgres", 0, self.server.getsockname()[1])

    async def connect(self) -> Peer:
        client = self._stack.enter_context(closing(socket.socket()))
        peer = Peer(client)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.link.port))
        return peer

    async def accept(self) -> Peer:
        accepted, _ = await asyncio.get_running_loop().sock_accept(self.server)
        return Peer(self._stack.enter_context(closing(accepted)))

    async def both(self) -> tuple[Peer, Peer]:
        client, server = await self.connect(), await self.accept()
        await client.say(b"hello")
        assert await server.hear(5) == b"hello"
        return client, server

    def last(self) -> Connection:
        [connection] = self.link._connections
        return connection


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def is_reset(peer: Peer) -> bool:
    try:
        said = await peer.hear_some()
    except ConnectionResetError:
        return True
    raise AssertionError(f"not reset, but heard {said!r}")


async def is_refused(street: Street) -> None:
    # Either as it connects or as it listens, whichever comes first.
    with pytest.raises(ConnectionResetError):
        await (await street.connect()).hear_some()


def reads_no_more(connection: Connection, side: str) -> bool:
    transport = getattr(connection, side).transport
    return transport is not None and not transport.is_reading()


async def never(*_: object) -> None:
    await asyncio.get_running_loop().create_future()
