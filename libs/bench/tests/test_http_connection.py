"""The load generator's HTTP client, against real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fuze_bench.http_connection import HttpError, HttpPool


class Server:
    """Answers each request with its own body; with `closes`, it closes the connection then."""

    def __init__(self, *, closes: bool = False, head: bytes = b"HTTP/1.1 200 OK\r\n") -> None:
        self.closes = closes
        self.head = head
        self.connections = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[HttpPool]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        async with server, HttpPool(server.sockets[0].getsockname()[1]) as pool:
            yield pool

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await _read_head(reader):
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            writer.write(self.head + b"content-length: %d\r\n\r\n" % length + body)
            if self.closes:
                break
        writer.close()


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def test_a_connection_serves_one_request_after_another() -> None:
    server = Server()
    async with server.serve() as pool:
        answers = [await pool.request("POST", "/orders", {"number": n}) for n in range(3)]

    assert answers == [(200, b'{"number": %d}' % n) for n in range(3)]
    assert server.connections == 1


async def test_concurrent_requests_have_a_connection_each() -> None:
    server = Server()
    async with server.serve() as pool:
        await asyncio.gather(*(pool.request("GET", "/") for _ in range(4)))

    assert server.connections == 4


async def test_a_connection_that_the_server_closed_is_replaced() -> None:
    server = Server(closes=True)
    async with server.serve() as pool:
        statuses = [(await pool.request("GET", "/"))[0] for _ in range(3)]

    assert (statuses, server.connections) == ([200, 200, 200], 3)


async def test_a_status_is_returned_as_it_is() -> None:
    async with Server(head=b"HTTP/1.1 404 Not Found\r\n").serve() as pool:
        assert await pool.request("GET", "/") == (404, b"")


async def test_a_server_that_cannot_be_reached_is_an_error() -> None:
    server = Server()
    async with server.serve() as pool:
        pass

    with pytest.raises(HttpError, match=r"GET /orders/1: ConnectionRefusedError"):
        await pool.request("GET", "/orders/1")
