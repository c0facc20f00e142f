"""A link: one client's way to one server, through a port of its own, which can go wrong."""

import asyncio
import contextlib
import socket

from fuze_chaos.connections import Condition, Connection, Terms, reset_on_close
from fuze_devstack.errors import StackError

_WAITING_AT_MOST = 512
_HOST = "127.0.0.1"


class Link:
    """Hands on TCP between a client and a server, `payment->postgres`, until it is told not to.

    The client connects to `port` of 127.0.0.1; with 0, `open` takes a free one. The link goes on to
    `server_port`, and a client is reset while nobody listens there. What it is told last holds, on
    the connections that are there and on those that come; it never waits for anything itself.
    All of it is for the thread of the loop that it was opened in.
    """

    def __init__(self, name: str, port: int, server_port: int, server_host: str = _HOST) -> None:
        self.name = name
        self.port = port
        self._terms = Terms((server_host, server_port))
        self._connections: set[Connection] = set()
        self._listener: socket.socket | None = None

    @property
    def passed(self) -> int:
        """How many bytes it has handed on, both ways."""
        return self._terms.passed

    @property
    def resets(self) -> int:
        """How many connections it has reset because of what it was told."""
        return self._terms.resets

    @property
    def connections(self) -> int:
        """How many connections it has now."""
        return len(self._connections)

    async def open(self) -> None:
        """Begin to listen.

        Raises:
            StackError: somebody else listens there.

        """
        listener = socket.socket()
        try:
            listener.setblocking(False)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_HOST, self.port))
            listener.listen(_WAITING_AT_MOST)
        except OSError as error:
            listener.close()
            raise StackError(f"{self.name} cannot listen on port {self.port}: {error}") from None
        self.port = listener.getsockname()[1]
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def close(self) -> None:
        """Listen no more, reset what is connected, and return when nothing is left of it."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        left = list(self._connections)
        for connection in left:
            connection.reset()
        await asyncio.gather(*(connection.ended for connection in left))

    def cut(self) -> None:
        """Reset every connection now, and new ones as they come."""
        self._let(Condition.CUT)

    def swallow(self) -> None:
        """Let every byte vanish, and every end: connections stay, and new ones are accepted."""
        self._let(Condition.SWALLOWED)

    def slow(self, seconds: float) -> None:
        """Let every byte arrive that much later, in order."""
        self._let(Condition.CLEAR, seconds)

    def reset_after_reply(self) -> None:
        """Reset a connection when the server has something to say on it, which nobody hears.

        So a request was carried out, and its answer is lost.
        """
        self._let(Condition.REPLIES_LOST)

    def heal(self) -> None:
        """Be as if nothing had been.

        What was late arrives at once. Connections whose bytes have vanished are reset, for their
        streams cannot go on.
        """
        self._let(Condition.CLEAR)

    def _let(self, condition: Condition, delay: float = 0.0) -> None:
        self._terms.condition, self._terms.delay = condition, delay
        for connection in list(self._connections):
            connection.follow()

    def _accept(self, listener: socket.socket) -> None:
        # One that has gone again is no matter; one that there is no descriptor for is tried again.
        with contextlib.suppress(OSError):
            accepted, _ = listener.accept()
            if self._terms.condition is Condition.CUT:
                self._terms.resets += 1
                reset_on_close(accepted)
                accepted.close()
                return
            connection = Connection(accepted, self._terms)
            self._connections.add(connection)
            connection.ended.add_done_callback(lambda _: self._connections.discard(connection))
