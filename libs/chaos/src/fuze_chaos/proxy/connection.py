"""One connection through a link: two sockets, and what becomes of the bytes between them."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, cast

_READ_AT_ONCE = 256 * 1024
_HELD_AT_MOST = 1024 * 1024
"""Bytes each way that wait for their time, or for the server, before no more are read."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_END = b""
"""Stands among what was read for the end of it."""


class Condition(Enum):
    """What a link does to what goes through it."""

    CLEAR = "clear"
    CUT = "cut"
    SWALLOWED = "swallowed"
    REPLIES_LOST = "replies lost"


@dataclass
class Terms:
    """What holds on a link now, and what it has counted; all of its connections look here.

    `server` is the address that they are for, `delay` is in seconds, `passed` in bytes.
    """

    server: tuple[str, int]
    condition: Condition = Condition.CLEAR
    delay: float = 0.0
    passed: int = 0
    resets: int = 0
    # One for all: what is in it is taken out before the loop reads from another socket.
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(_READ_AT_ONCE)))


class Connection:
    """A client's connection and the one to the server that is its continuation.

    It begins when it is made. `ended` is done once both sockets are closed and nothing is left.
    """

    def __init__(self, accepted: socket.socket, terms: Terms) -> None:
        loop = asyncio.get_running_loop()
        self.terms = terms
        self.ended: asyncio.Future[None] = loop.create_future()
        self._accepted: socket.socket | None = accepted
        self._client, self._server = _Leg(self), _Leg(self)
        self._client.other, self._server.other = self._server, self._client
        self._broken = False
        self._over = False
        self._begin(self._attach(accepted))

    def follow(self) -> None:
        """Do as the terms say, which have changed."""
        condition = self.terms.condition
        if condition is Condition.CUT or (self._broken and condition is not Condition.SWALLOWED):
            self.reset(counted=True)
        elif condition is Condition.SWALLOWED:
            self._client.forget()
            self._server.forget()
        elif self._server.transport is None and self._task.done() and not self._over:
            self._begin(self._dial())
        else:
            self._client.release()
            self._server.release()

    def reset(self, *, counted: bool = False) -> None:
        """Break off both ways; who reads or writes there is told that the peer did it."""
        if counted and not self._over:
            self.terms.resets += 1
        self._over = True
        self._task.cancel()
        self._client.abort()
        self._server.abort()

    def arrived(self, leg: "_Leg", data: bytes) -> bool:
        """Say whether what a leg has read goes on; where it does not, see to what follows."""
        match self.terms.condition:
            case Condition.SWALLOWED:
                self._broken = True
                return False
            case Condition.REPLIES_LOST if leg is self._server and data:
                self.reset(counted=True)
                return False
            case Condition.CUT:
                return False
            case _:
                return True

    def made(self) -> None:
        """Go on: a leg has its socket."""
        if self._over:
            self.reset()
            return
        self._client.release()
        self._server.release()

    def vanished(self) -> None:
        """Remember that bytes are lost: the stream cannot go on after them."""
        self._broken = True

    def handed_on(self) -> None:
        """End in good order once the end of both streams was handed on."""
        if self._client.done and self._server.done:
            self._over = True
            for leg in (self._client, self._server):
                if leg.transport is not None:
                    leg.transport.close()

    def lost(self) -> None:
        """Let the other side know that a leg has no socket any more."""
        if self.terms.condition is Condition.SWALLOWED and not self._over:
            # The news of it vanishes too.
            self._broken = True
        elif not self._over:
            self.reset()
        self._settle()

    def _begin(self, steps: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.get_running_loop().create_task(steps)
        self._task.add_done_callback(self._settle)

    async def _attach(self, accepted: socket.socket) -> None:
        self._accepted = None
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: self._client, accepted)
        if self.terms.condition is not Condition.SWALLOWED:
            await self._dial()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self._server, *self.terms.server)
        except OSError:
            # It is refused, and so is the client, unless it can hear nothing.
            self.lost()

    def _settle(self, _: object = None) -> None:
        if not self._task.done():
            return
        if self._accepted is not None:
            # The task was cancelled before its first step.
            reset_on_close(self._accepted)
            self._accepted.close()
            self._accepted = None
        there = self._client.transport is not None or self._server.transport is not None
        if not there and not self.ended.done():
            self.ended.set_result(None)


class _Leg(asyncio.BufferedProtocol):
    """One of the two sockets. What it reads the other one writes, as the terms say.

    `done` is whether the end of what it reads was handed on, `full` whether it can write no more
    for now.
    """

    other: "_Leg"

    def __init__(self, connection: Connection) -> None:
        self.transport: asyncio.Transport | None = None
        self.done = False
        self._connection = connection
        self._terms = connection.terms
        self.full = False
        self._ended = False
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connection.made()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the protocol's signature
        return self._terms.buffer

    def buffer_updated(self, nbytes: int) -> None:
        # A copy, for the transport may keep what it cannot write at once.
        self._take(bytes(self._terms.buffer[:nbytes]))

    def eof_received(self) -> bool:
        self._ended = True
        self._take(_END)
        return True

    def pause_writing(self) -> None:
        self.full = True
        self.other.pace()

    def resume_writing(self) -> None:
        self.full = False
        self.other.pace()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - likewise
        self.transport = None
        self._connection.lost()

    def pace(self) -> None:
        """Read while there is somewhere to go with it."""
        # At the end the loop stopped reading by itself, and would begin again when asked to.
        if self.transport is None or self._ended:
            return
        room = not self.other.full and self._held_bytes < _HELD_AT_MOST
        if room or self._terms.condition is Condition.SWALLOWED:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def release(self) -> None:
        """Hand on what was held until now; all of it where nothing is late any more."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = loop.time()
        while self._held and self.other.transport is not None:
            due, data = self._held[0]
            if self._terms.delay and due > now:
                self._timer = loop.call_at(due, self.release)
                break
            self._held.popleft()
            self._held_bytes -= len(data)
            self._hand_on(data)
        self.pace()

    def forget(self) -> None:
        """Lose what is held."""
        if self._held:
            self._connection.vanished()
        self._drop()
        self.pace()

    def abort(self) -> None:
        """Close the socket so that its peer is reset."""
        self._drop()
        if self.transport is not None:
            reset_on_close(self.transport.get_extra_info("socket"))
            self.transport.abort()

    def _take(self, data: bytes) -> None:
        terms, into = self._terms, self.other.transport
        if terms.condition is not Condition.CLEAR and not self._connection.arrived(self, data):
            return
        if terms.delay or into is None:
            loop = asyncio.get_running_loop()
            self._held.append((loop.time() + terms.delay, data))
            self._held_bytes += len(data)
            if self._timer is None:
                self.release()
            else:
                self.pace()
        else:
            self._hand_on(data)

    def _hand_on(self, data: bytes) -> None:
        into = self.other.transport
        if into is None:
            return
        if data:
            self._terms.passed += len(data)
            into.write(data)
            return
        # Where this cannot be done the socket is dead, and the loop is about to say so.
        with contextlib.suppress(OSError):
            into.write_eof()
        self.done = True
        self._connection.handed_on()

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._held.clear()
        self._held_bytes = 0


def reset_on_close(of: socket.socket) -> None:
    """Make a socket's close a reset: what is under way is lost, and its peer gets an error."""
    with contextlib.suppress(OSError):
        of.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
