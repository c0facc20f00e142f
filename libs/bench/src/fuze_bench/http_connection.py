"""A small HTTP client: a request costs it a fraction of what it costs a general one.

The load generator runs on the cores that it measures, so that its own cost shows in every figure.
"""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

_MAX_HEAD_BYTES = 65_536


_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HttpError(Exception):
    """There was no response, or one with an unexpected status or that cannot be read."""


class HttpPool:
    """Keep-alive connections to one server on 127.0.0.1; requests use an idle one or a new one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []

    async def __aenter__(self) -> Self:
        """Return the pool; connections are opened when they are needed."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the idle connections."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def request(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        """Send a request, and return the response's status and body.

        Raises:
            HttpError: the server cannot be reached, or closed the connection.

        """
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        try:
            if idle := self._pop_idle():
                try:
                    return await self._exchange(idle, head.encode() + content)
                except (OSError, EOFError):
                    pass  # the server closed it while it was idle; our requests can be repeated
            return await self._exchange(await self._open(), head.encode() + content)
        except (OSError, EOFError) as error:
            raise HttpError(f"{method} {path}: {error!r}") from error

    def _pop_idle(self) -> _Connection | None:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    async def _open(self) -> _Connection:
        return await asyncio.open_connection("127.0.0.1", self._port, limit=_MAX_HEAD_BYTES)

    async def _exchange(self, connection: _Connection, request: bytes) -> tuple[int, bytes]:
        reader, writer = connection
        try:
            writer.write(request)
            response = await self._read(reader)
        except BaseException:  # the connection's state is unknown
            writer.close()
            raise
        self._idle.append(connection)
        return response

    @staticmethod
    async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        _, separator, rest = head.partition(b"\r\ncontent-length:")
        if not separator:
            raise HttpError(f"a response with status {status} has no Content-Length")
        return status, await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
