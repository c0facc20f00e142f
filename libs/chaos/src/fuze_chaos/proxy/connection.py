"""One proxied connection: two sockets, and what happens to the bytes between them."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

_READ_SIZE = 256 * 1024
_MAX_BUFFERED_BYTES = 1024 * 1024
"""Bytes each way that wait for their time or for the server before reading is paused."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_EOF = b""
"""Marks the end of the stream among the chunks that were read."""


class FaultMode(Enum):
    """What a proxy does with traffic."""

    FORWARD = "forward"
    RESET = "reset"
    BLACKHOLE = "blackhole"
    DROP_RESPONSES = "drop responses"


@dataclass
class ProxyState:
    """The mode and the counters of a proxy, shared by its connections.

    `server` is the address to connect to, `latency` is in seconds.
    """

    server: tuple[str, int]
    mode: FaultMode = FaultMode.FORWARD
    latency: float = 0.0
    bytes_passed: int = 0
    resets: int = 0
    # One for all connections: its content is copied before the loop reads from another socket.
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_READ_SIZE)))


class ProxyConnection:
    """A client's connection, and the connection to the server that continues it.

    It starts when it is created. `closed` is done once both sockets are closed.
    """

    def __init__(self, accepted: socket.socket, state: ProxyState) -> None:
        loop = asyncio.get_running_loop()
        self.state = state
        self.closed: asyncio.Future[None] = loop.create_future()
        self._accepted: socket.socket | None = accepted
        self._client, self._server = _Endpoint(self), _Endpoint(self)
        self._client.peer, self._server.peer = self._server, self._client
        self._lost_bytes = False
        self._is_closing = False
        self._start(self._attach(accepted))

    def apply_mode(self) -> None:
        """Follow the proxy's mode, which has changed."""
        mode = self.state.mode
        if mode is FaultMode.RESET or (self._lost_bytes and mode is not FaultMode.BLACKHOLE):
            self.reset(is_fault=True)
        elif mode is FaultMode.BLACKHOLE:
            self._client.drop_buffered()
            self._server.drop_buffered()
        elif self._server.transport is None and self._task.done() and not self._is_closing:
            self._start(self._connect())
        else:
            self._client.flush()
            self._server.flush()

    def reset(self, *, is_fault: bool = False) -> None:
        """Close both sockets with RST."""
        if is_fault and not self._is_closing:
            self.state.resets += 1
        self._is_closing = True
        self._task.cancel()
        self._client.abort()
        self._server.abort()

    def may_forward(self, endpoint: "_Endpoint", data: bytes) -> bool:
        """Return whether data that an endpoint has read is forwarded; apply the fault if not."""
        match self.state.mode:
            case FaultMode.BLACKHOLE:
                self._lost_bytes = True
                return False
            case FaultMode.DROP_RESPONSES if endpoint is self._server and data:
                self.reset(is_fault=True)
                return False
            case FaultMode.RESET:
                return False
            case _:
                return True

    def on_connected(self) -> None:
        """Forward what waited: an endpoint has its socket."""
        if self._is_closing:
            self.reset()
            return
        self._client.flush()
        self._server.flush()

    def mark_lost_bytes(self) -> None:
        """Remember that bytes were dropped: the stream cannot continue."""
        self._lost_bytes = True

    def on_eof_forwarded(self) -> None:
        """Close both sockets once the end of both streams was forwarded."""
        if self._client.is_finished and self._server.is_finished:
            self._is_closing = True
            for endpoint in (self._client, self._server):
                if endpoint.transport is not None:
                    endpoint.transport.close()

    def on_disconnected(self) -> None:
        """Reset the other endpoint: one has lost its socket."""
        if self.state.mode is FaultMode.BLACKHOLE and not self._is_closing:
            # A blackhole drops the FIN or RST, too.
            self._lost_bytes = True
        elif not self._is_closing:
            self.reset()
        self._finish_if_closed()

    def _start(self, steps: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(steps)
        self._task.add_done_callback(self._finish_if_closed)

    async def _attach(self, accepted: socket.socket) -> None:
        self._accepted = None
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: self._client, accepted)
        if self.state.mode is not FaultMode.BLACKHOLE:
            await self._connect()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self._server, *self.state.server)
        except OSError:
            # The server refuses, so the client is reset, unless a blackhole hides it.
            self.on_disconnected()

    def _finish_if_closed(self, _: object = None) -> None:
        if not self._task.done():
            return
        if self._accepted is not None:
            # The task was cancelled before its first step.
            reset_on_close(self._accepted)
            self._accepted.close()
            self._accepted = None
        is_open = self._client.transport is not None or self._server.transport is not None
        if not is_open and not self.closed.done():
            self.closed.set_result(None)


class _Endpoint(asyncio.BufferedProtocol):
    """One of the two sockets. What it reads its peer writes, as the mode says.

    `is_finished` is whether the end of its stream was forwarded, `is_full` whether its write buffer
    is over the limit.
    """

    peer: "_Endpoint"

    def __init__(self, connection: ProxyConnection) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_finished = False
        self.is_full = False
        self._connection = connection
        self._state = connection.state
        self._has_eof = False
        self._buffered: deque[tuple[float, bytes]] = deque()
        self._buffered_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connection.on_connected()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the protocol's signature
        return self._state.buffer

    def buffer_updated(self, nbytes: int) -> None:
        # A copy: the transport may keep what it cannot write at once.
        self._receive(bytes(self._state.buffer[:nbytes]))

    def eof_received(self) -> bool:
        self._has_eof = True
        self._receive(_EOF)
        return True

    def pause_writing(self) -> None:
        self.is_full = True
        self.peer.update_reading()

    def resume_writing(self) -> None:
        self.is_full = False
        self.peer.update_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - likewise
        self.transport = None
        self._connection.on_disconnected()

    def update_reading(self) -> None:
        """Read only while there is room for the data."""
        # At EOF the loop has stopped reading; resume_reading would start it again.
        if self.transport is None or self._has_eof:
            return
        has_room = not self.peer.is_full and self._buffered_bytes < _MAX_BUFFERED_BYTES
        if has_room or self._state.mode is FaultMode.BLACKHOLE:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def flush(self) -> None:
        """Forward buffered data that is due; all of it if there is no latency any more."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = loop.time()
        while self._buffered and self.peer.transport is not None:
            due, data = self._buffered[0]
            if self._state.latency and due > now:
                self._timer = loop.call_at(due, self.flush)
                break
            self._buffered.popleft()
            self._buffered_bytes -= len(data)
            self._forward(data)
        self.update_reading()

    def drop_buffered(self) -> None:
        """Drop buffered data."""
        if self._buffered:
            self._connection.mark_lost_bytes()
        self._clear()
        self.update_reading()

    def abort(self) -> None:
        """Close the socket with RST."""
        self._clear()
        if self.transport is not None:
            reset_on_close(self.transport.get_extra_info("socket"))
            self.transport.abort()

    def _receive(self, data: bytes) -> None:
        state, target = self._state, self.peer.transport
        if state.mode is not FaultMode.FORWARD and not self._connection.may_forward(self, data):
            return
        if state.latency or target is None:
            loop = asyncio.get_running_loop()
            self._buffered.append((loop.time() + state.latency, data))
            self._buffered_bytes += len(data)
            if self._timer is None:
                self.flush()
            else:
                self.update_reading()
        else:
            self._forward(data)

    def _forward(self, data: bytes) -> None:
        target = self.peer.transport
        if target is None:
            return
        if data:
            self._state.bytes_passed += len(data)
            target.write(data)
            return
        # If this fails the socket is dead, and connection_lost follows.
        with contextlib.suppress(OSError):
            target.write_eof()
        self.is_finished = True
        self._connection.on_eof_forwarded()

    def _clear(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._buffered.clear()
        self._buffered_bytes = 0


def reset_on_close(sock: socket.socket) -> None:
    """Make close() send RST instead of FIN, and discard unsent data."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
