"""A TCP proxy between one client and one server, with faults that can be injected."""

import asyncio
import contextlib
import socket

from fuze_chaos.proxy.connection import (
    FaultMode,
    ProxyConnection,
    ProxyState,
    reset_on_close,
)
from fuze_devstack.errors import StackError

_BACKLOG = 512
_HOST = "127.0.0.1"


class TcpProxy:
    """Forwards TCP between a client and a server, `payment->postgres`, unless a fault is active.

    The client connects to `port` on 127.0.0.1; with 0, `open` picks a free one. The proxy connects
    to `server_port`, and resets the client if nothing listens there. The last fault injected
    applies to existing connections and to new ones; no method waits for traffic. Not thread-safe:
    use it from the event loop in which it was opened.
    """

    def __init__(self, name: str, port: int, server_port: int, server_host: str = _HOST) -> None:
        self.name = name
        self.port = port
        self._state = ProxyState((server_host, server_port))
        self._connections: set[ProxyConnection] = set()
        self._listener: socket.socket | None = None

    @property
    def bytes_passed(self) -> int:
        """How many bytes were forwarded, both ways."""
        return self._state.bytes_passed

    @property
    def resets(self) -> int:
        """How many connections were reset because of a fault."""
        return self._state.resets

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def open(self) -> None:
        """Start to listen.

        Raises:
            StackError: the port is in use.

        """
        listener = socket.socket()
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_HOST, self.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise StackError(f"{self.name} cannot listen on port {self.port}: {error}") from None
        self.port = listener.getsockname()[1]
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def close(self) -> None:
        """Stop listening, reset every connection, and return when all sockets are closed."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        remaining = list(self._connections)
        for connection in remaining:
            connection.reset()
        await asyncio.gather(*(connection.closed for connection in remaining))

    def reset(self) -> None:
        """Reset every connection now, and new ones as they are accepted."""
        self._set_mode(FaultMode.RESET)

    def blackhole(self) -> None:
        """Drop every byte and every FIN silently; connections stay open, new ones are accepted."""
        self._set_mode(FaultMode.BLACKHOLE)

    def add_latency(self, seconds: float) -> None:
        """Delay every byte by so many seconds, in order."""
        self._set_mode(FaultMode.FORWARD, seconds)

    def drop_responses(self) -> None:
        """Reset a connection as soon as the server responds, and drop the response.

        So the request was executed, and its client cannot know.
        """
        self._set_mode(FaultMode.DROP_RESPONSES)

    def heal(self) -> None:
        """Forward again.

        Delayed bytes are delivered at once. Connections that lost bytes are reset, because their
        streams cannot continue.
        """
        self._set_mode(FaultMode.FORWARD)

    def _set_mode(self, mode: FaultMode, latency: float = 0.0) -> None:
        self._state.mode, self._state.latency = mode, latency
        for connection in list(self._connections):
            connection.apply_mode()

    def _accept(self, listener: socket.socket) -> None:
        # The client may be gone again; without a free descriptor the loop calls us again.
        with contextlib.suppress(OSError):
            accepted, _ = listener.accept()
            if self._state.mode is FaultMode.RESET:
                self._state.resets += 1
                reset_on_close(accepted)
                accepted.close()
                return
            connection = ProxyConnection(accepted, self._state)
            self._connections.add(connection)
            connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
