"""TLS in front of a PostgreSQL that has none: the one of the tests is built without it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_SSL_REQUEST_BYTES = 8
_CHUNK_BYTES = 65_536


@asynccontextmanager
async def serve_tls(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Forward connections to `port` of 127.0.0.1, and yield the port where they are accepted.

    As PostgreSQL does, it starts TLS once a client requests it.
    """

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(_SSL_REQUEST_BYTES)
        writer.write(b"S")
        with suppress(OSError):  # the client does not trust the certificate
            await writer.start_tls(context)
            to_server, from_server = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, from_server), _copy(to_server, writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()
