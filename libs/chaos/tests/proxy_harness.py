"""A proxy between a listening server and the clients of a test."""

import asyncio
import random
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, closing

import pytest

from fuze_chaos.proxy.connection import ProxyConnection
from fuze_chaos.proxy.tcp_proxy import TcpProxy

LARGE_PAYLOAD = random.Random(1).randbytes(32 * 1024 * 1024)  # noqa: S311 - reproducible on purpose
ONE_HOUR = 3600.0


class Peer:
    """A client or a server at one end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self, count: int) -> bytes:
        received = bytearray()
        while len(received) < count and (more := await self.receive_some()):
            received += more
        return bytes(received)

    async def receive_some(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.socket, 65536)

    def send_eof(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)


class ProxyHarness:
    """A server that listens, a proxy to it, and clients that connect to the proxy."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.server.setblocking(False)
        self.proxy = TcpProxy("payment->postgres", 0, self.server.getsockname()[1])

    async def connect(self) -> Peer:
        client = self._stack.enter_context(closing(socket.socket()))
        peer = Peer(client)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.proxy.port))
        return peer

    async def accept(self) -> Peer:
        accepted, _ = await asyncio.get_running_loop().sock_accept(self.server)
        return Peer(self._stack.enter_context(closing(accepted)))

    async def connect_both(self) -> tuple[Peer, Peer]:
        client, server = await self.connect(), await self.accept()
        await client.send(b"hello")
        assert await server.receive(5) == b"hello"
        return client, server

    def last_connection(self) -> ProxyConnection:
        [connection] = self.proxy._connections
        return connection


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def is_reset(peer: Peer) -> bool:
    try:
        received = await peer.receive_some()
    except ConnectionResetError:
        return True
    raise AssertionError(f"not reset, but received {received!r}")


async def assert_refused(harness: ProxyHarness) -> None:
    # Either connecting or receiving fails, whichever comes first.
    with pytest.raises(ConnectionResetError):
        await (await harness.connect()).receive_some()


def is_reading_paused(connection: ProxyConnection, side: str) -> bool:
    transport = getattr(connection, side).transport
    return transport is not None and not transport.is_reading()


async def never_connect(*_: object) -> None:
    await asyncio.get_running_loop().create_future()
