"""HTTP connections with limits that uvicorn does not have (ADR 16).

- The head of a request, and whatever else of it is not its body, is limited in size: 431.
- A connection is closed if a request's head takes longer than `timeout`, or if its client does not
  read the response for that long.
- At the limit of connections, a new one replaces the one that has waited longest for a request.
  If none is waiting, the new one gets a 503.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from fuze_gateway.problems import errors, registry
from fuze_gateway.problems.errors import Problem

_SLICE_BYTES = 4096
_LINGER_SECONDS = 2
"""After an early error response, until the client has read it: closing at once could discard it."""

_MAX_PIPELINED = 100
_LOG_SECONDS = 10

_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class ConnectionLimits:
    """The limits of one server's connections, and the connections that wait for a request."""

    max_connections: int
    max_head_bytes: int
    timeout: timedelta
    waiting: dict["LimitedProtocol", None] = field(default_factory=dict)
    """In the order in which they began to wait."""
    _last_logged: dict[str, float] = field(default_factory=dict)
    _unlogged: dict[str, int] = field(default_factory=dict)

    def log(self, event: str, client: tuple[str, int] | None, now: float) -> None:
        """Log an event at most every 10 s, with how often it has happened since."""
        self._unlogged[event] = self._unlogged.get(event, 0) + 1
        if now - self._last_logged.get(event, -_LOG_SECONDS) >= _LOG_SECONDS:
            address = client[0] if client else None
            _log.warning(event, client=address, count=self._unlogged.pop(event))
            self._last_logged[event] = now


def limit_connections(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return the `http` option of `uvicorn.Config` for a server with these limits."""
    return type("Protocol", (LimitedProtocol,), {"limits": limits})


class LimitedProtocol(HttpToolsProtocol):
    """A connection with limits."""

    limits: ClassVar[ConnectionLimits]

    _timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _part_bytes = 0
    _bytes_beside_body = 0
    _is_rejected = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own signature
        """Accept the connection if there is room for it, or can be made."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self._log("connection limit reached")
            if not self.limits.waiting:
                self._reject(errors.unavailable("The gateway has too many connections."))
                self.transport.close()
                return
            next(iter(self.limits.waiting))._abort()  # noqa: SLF001 - of the same class
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._stop_waiting()
        if self._stall_timer:
            self._stall_timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse a little at a time, so that a limit applies before the data is kept."""
        for first in range(0, len(data), _SLICE_BYTES):
            if self._is_rejected or self.transport.is_closing():
                return
            part = data[first : first + _SLICE_BYTES]
            self._part_bytes = len(part)
            self._bytes_beside_body += self._part_bytes
            super().data_received(part)
            if self._bytes_beside_body > self.limits.max_head_bytes:
                self._reject_head()
            elif len(self.pipeline) > _MAX_PIPELINED:
                self._abort()
        if self._is_idle:
            # uvicorn has stopped its keep-alive timer, whatever the data was.
            self._wait()

    def on_message_begin(self) -> None:
        """Begin to count the bytes of a request, at worst with the end of the one before."""
        self._bytes_beside_body = self._part_bytes
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the request.

        Raises:
            ValueError: the head is too large; the parser makes it an error of its own.

        """
        # Exact, because the response to a request that has started can no longer be a 431.
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        self._bytes_beside_body = size
        if self._bytes_beside_body > self.limits.max_head_bytes:
            raise ValueError("head too large")
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the body for itself: it has a limit of its own."""
        self._bytes_beside_body -= len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if self.transport.is_closing():  # once the client has read everything
            self._limit_writing()
        elif self._is_idle:
            self.limits.waiting[self] = None

    def send_400_response(self, msg: str) -> None:
        """Respond to what is not HTTP."""
        del msg
        if self._bytes_beside_body > self.limits.max_head_bytes:
            self._reject_head()
        else:
            self._reject(Problem(registry.MALFORMED_REQUEST))

    def pause_writing(self) -> None:
        """Limit how long the client may not read."""
        super().pause_writing()
        self._limit_writing()

    def resume_writing(self) -> None:
        """Continue to write."""
        super().resume_writing()
        if self._stall_timer:
            self._stall_timer.cancel()
            self._stall_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection; the transport first waits until the client has read everything."""
        super().timeout_keep_alive_handler()
        self._limit_writing()

    @property
    def _is_idle(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is None or cycle.response_complete

    def _wait(self) -> None:
        """Wait for the head of a request, counted from the first call."""
        if self._timer is None and not self._is_rejected:
            seconds = self.limits.timeout.total_seconds()
            self._timer = self.loop.call_later(seconds, self._time_out)
            self.limits.waiting[self] = None

    def _stop_waiting(self) -> None:
        self.limits.waiting.pop(self, None)
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._log("connection without a request closed")
        self._abort()

    def _limit_writing(self) -> None:
        if self._stall_timer is None:
            seconds = self.limits.timeout.total_seconds()
            self._stall_timer = self.loop.call_later(seconds, self._abort_stalled)

    def _abort_stalled(self) -> None:
        self._log("connection that does not read closed")
        self._abort()

    def _abort(self) -> None:
        self._stop_waiting()
        self.connections.discard(self)  # counted no longer, although it is closed a moment later
        self.transport.abort()

    def _reject_head(self) -> None:
        self._log("request head too large")
        self._reject(Problem(registry.HEADERS_TOO_LARGE))

    def _reject(self, problem: Problem) -> None:
        """Respond, and discard what the client still sends for a moment."""
        if self._is_rejected:
            return
        if not self._is_idle:  # another response, or the response to this request, has begun
            self._abort()
            return
        self._stop_waiting()
        self._is_rejected = True
        self.limits.waiting[self] = None
        body = json.dumps(problem.to_json()).encode()
        status = problem.problem_type.status
        headers = {
            "content-type": "application/problem+json",
            "content-length": len(body),
            "connection": "close",
            **(problem.headers or {}),
        }
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        self.transport.write("\r\n".join([*lines, "\r\n"]).encode() + body)
        self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGER_SECONDS, self._abort)

    def _log(self, event: str) -> None:
        self.limits.log(event, self.client, self.loop.time())
