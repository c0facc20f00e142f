"""The limits on connections and on the heads of requests, over real sockets."""

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs
from uvicorn.server import ServerState

from fuze_devstack.postgres import EmbeddedPostgres
from fuze_gateway.http_protocol import ConnectionLimits, limit_connections

_GET = b"GET / HTTP/1.1\r\nHost: gateway\r\n"
_LONG_RESPONSE = b"x" * 50_000_000

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[..., Awaitable[Connection]]


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond at once, after the body, or with more than fits into the buffers."""
    if scope["path"] == "/body":
        while (await receive())["more_body"]:
            pass
    body = _LONG_RESPONSE if scope["path"] == "/long" else b"ok"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def _listening(
    *, max_connections: int = 10, max_head_bytes: int = 32_768, seconds: float = 10
) -> AsyncIterator[int]:
    """Serve `_app` on a free port, and return it."""
    limits = ConnectionLimits(
        max_connections=max_connections,
        max_head_bytes=max_head_bytes,
        timeout=timedelta(seconds=seconds),
    )
    config = uvicorn.Config(_app, http=limit_connections(limits), ws="none", log_config=None)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: config.http_protocol_class(config=config, server_state=state, app_state={}),  # type: ignore[call-arg] # uvicorn's own
        "127.0.0.1",
        0,
    )
    async with server:
        yield server.sockets[0].getsockname()[1]
        for connection in list(state.connections):
            connection.transport.abort()


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connect to a port and send bytes; every connection is closed after the test."""
    writers: list[asyncio.StreamWriter] = []

    async def connected(port: int, sent: bytes = b"") -> Connection:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        writer.write(sent)
        return reader, writer

    yield connected
    for writer in writers:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _read_head(connection: Connection) -> bytes:
    async with asyncio.timeout(10):
        return await connection[0].readuntil(b"\r\n\r\n")


async def _is_closed(connection: Connection) -> bool:
    """Wait until the server closes the connection."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            while await connection[0].read(65_536):
                pass
    return True


@pytest.mark.parametrize(
    "head",
    [
        _GET + b"X: " + b"a" * 33_000,
        _GET + b"X: " + b"a" * 33_000 + b"\r\n\r\n",
        _GET + b"X: a\r\n" * 12_000,
        _GET + b"X: a\r\n" * 12_000 + b"\r\n",
        b"GET /" + b"a" * 33_000 + b" HTTP/1.1\r\nHost: gateway\r\n\r\n",
    ],
    ids=["long value", "long value, complete", "many headers", "many, complete", "long url"],
)
async def test_a_head_above_the_limit_is_rejected_at_once(connect: Connect, head: bytes) -> None:
    async with _listening() as port:
        connection = await connect(port, head)
        response = await _read_head(connection)

        assert response.startswith(b"HTTP/1.1 431 ")
        problem = json.loads(await connection[0].read())
        assert problem["type"] == "/problems/headers-too-large"


async def test_a_head_below_the_limit_is_accepted(connect: Connect) -> None:
    async with _listening() as port:
        connection = await connect(port, _GET + b"X: " + b"a" * 30_000 + b"\r\n\r\n")

        assert (await _read_head(connection)).startswith(b"HTTP/1.1 200 ")


async def test_a_huge_header_is_not_kept_in_memory(connect: Connect) -> None:
    async with _listening() as port:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reader, writer = await connect(port, _GET + b"X: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(96):
                writer.write(b"a" * 1_000_000)
                await writer.drain()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        assert after - before < 20_000  # kilobytes
        assert (await _read_head((reader, writer))).startswith(b"HTTP/1.1 431 ")


async def test_long_trailers_close_the_connection(connect: Connect) -> None:
    chunked = b"POST /body HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    async with _listening() as port:
        assert await _is_closed(await connect(port, chunked + b"X: a\r\n" * 12_000))


async def test_what_is_not_http_is_a_problem(connect: Connect) -> None:
    async with _listening() as port:
        connection = await connect(port, b"nonsense\r\n\r\n")

        assert (await _read_head(connection)).startswith(b"HTTP/1.1 400 ")
        assert json.loads(await connection[0].read())["type"] == "/problems/malformed-request"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        _GET,
        b"\r\n",
        _GET + b"\r\n" + _GET,
        b"POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: 9\r\n\r\n1",
    ],
    ids=["nothing", "half a head", "an empty line", "half a second head", "half a body"],
)
async def test_a_connection_without_a_complete_request_is_closed(
    connect: Connect, sent: bytes
) -> None:
    async with _listening(seconds=0.2) as port:
        assert await _is_closed(await connect(port, sent))


async def test_a_connection_that_sends_a_byte_now_and_then_is_closed(connect: Connect) -> None:
    async with _listening(seconds=0.2) as port:
        connection = await connect(port, _GET)

        async def send_slowly() -> None:
            while True:
                connection[1].write(b"X")
                await asyncio.sleep(0.05)

        sending = asyncio.create_task(send_slowly())
        assert await _is_closed(connection)
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


async def test_a_connection_that_does_not_read_is_closed(connect: Connect) -> None:
    async with _listening(seconds=0.2) as port:
        connection = await connect(port, b"GET /long HTTP/1.1\r\nHost: gateway\r\n\r\n")
        received = len(await _read_head(connection))
        with capture_logs() as logs:
            async with asyncio.timeout(10):
                while not logs:
                    await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionError):
            received += len(await connection[0].read())

        assert received < len(_LONG_RESPONSE)


async def test_silent_connections_do_not_keep_others_out(connect: Connect) -> None:
    async with _listening(max_connections=10) as port:
        with capture_logs() as logs:
            silent = [await connect(port) for _ in range(30)]
            connection = await connect(port, _GET + b"\r\n")

            assert (await _read_head(connection)).startswith(b"HTTP/1.1 200 ")
            assert await _is_closed(silent[0])
        assert logs[0]["event"] == "connection limit reached"


async def test_at_the_limit_of_active_connections_a_new_one_is_unavailable(
    connect: Connect,
) -> None:
    post = b"POST /body HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1\r\n\r\n"
    async with _listening(max_connections=2) as port:
        active = [await connect(port, post) for _ in range(2)]
        refused = await connect(port)

        assert (await _read_head(refused)).startswith(b"HTTP/1.1 503 ")
        for _, writer in active:
            writer.write(b"1")
        for connection in active:
            assert (await _read_head(connection)).startswith(b"HTTP/1.1 200 ")


async def test_too_many_pipelined_requests_close_the_connection(connect: Connect) -> None:
    async with _listening() as port:
        connection = await connect(port, (_GET + b"\r\n") * 1000)

        assert await _is_closed(connection)


async def test_pipelined_requests_and_bodies_are_served(connect: Connect) -> None:
    body = b"a" * 60_000
    post = b"POST /body HTTP/1.1\r\nHost: gateway\r\nContent-Length: 60000\r\n\r\n" + body
    async with _listening() as port:
        reader, _ = await connect(port, post * 5)

        async with asyncio.timeout(10):
            for _ in range(5):
                assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200 ")


@pytest.fixture
def port_of_a_gateway_with_256_files(postgres: EmbeddedPostgres) -> Iterator[int]:
    command = f"ulimit -n 256 && exec {sys.executable} -m fuze_gateway"
    with subprocess.Popen(
        ["/bin/sh", "-c", command],
        env=os.environ | {"FUZE_DATABASE_URL": postgres.url("gateway"), "FUZE_PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            events = (json.loads(line)["event"] for line in process.stdout)
            started = next(event for event in events if "running on" in event)
            yield int(started.partition("http://127.0.0.1:")[2].split()[0])
        finally:
            process.terminate()


async def test_a_gateway_with_few_open_files_serves_beside_300_silent_connections(
    connect: Connect, port_of_a_gateway_with_256_files: int
) -> None:
    port = port_of_a_gateway_with_256_files
    for _ in range(300):
        await connect(port)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        responses = [await http.get(path) for path in ("/livez", "/orders")]

    assert [response.status_code for response in responses] == [200, 200]
