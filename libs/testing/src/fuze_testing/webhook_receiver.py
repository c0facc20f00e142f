"""An HTTP server that receives webhooks, and behaves as a test wants it to."""

import asyncio
import json
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks.webhooks import Webhook


@dataclass(frozen=True)
class ReceivedWebhook:
    """A request: its path, its headers in lower case and its body."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        """The id of the message."""
        return self.headers["webhook-id"]

    @property
    def content(self) -> dict[str, Any]:
        """The body, parsed."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def event(self) -> tuple[str, int]:
        """The order and the number of the event."""
        data = self.content["data"]
        return data["order_id"], data["seq"]

    def verify(self, secret: str) -> None:
        """Verify the signature, with the library of Standard Webhooks."""
        Webhook(secret).verify(self.body, self.headers)


Respond = Callable[[ReceivedWebhook], Awaitable[bytes]]
"""Returns a raw response."""


def build_response(status: int, body: str = "", **headers: str) -> bytes:
    """Return a raw response; `_` in the name of a header is `-`."""
    lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + f"\r\n\r\n{body}").encode()


async def accept(_: ReceivedWebhook) -> bytes:
    """Accept the message."""
    return build_response(204)


@dataclass
class WebhookReceiver:
    """What was received, in the order in which the responses were sent."""

    respond: Respond = accept
    requests: list[ReceivedWebhook] = field(default_factory=list)
    accepted: list[ReceivedWebhook] = field(default_factory=list)
    port: int = 0
    _connections: set[asyncio.Task[Any]] = field(default_factory=set)

    def get_url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """Return the URL of an endpoint."""
        return f"{scheme}://{host}:{self.port}/webhooks"

    def get_first_arrivals(self) -> dict[str, list[int]]:
        """Return the numbers of each order's events, in the order of their first acceptance."""
        arrivals: dict[str, list[int]] = defaultdict(list)
        for request in self.accepted:
            order_id, seq = request.event
            if seq not in arrivals[order_id]:
                arrivals[order_id].append(seq)
        return arrivals

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if connection := asyncio.current_task():
            self._connections.add(connection)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = ReceivedWebhook(first.split(" ")[1], headers, body)
                self.requests.append(request)
                response = await self.respond(request)
                if response.startswith(b"HTTP/1.1 2"):
                    self.accepted.append(request)
                writer.write(response)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _end_connections(self) -> None:
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)


@asynccontextmanager
async def serve_webhook_receiver(
    respond: Respond = accept, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[WebhookReceiver]:
    """Serve on a free port of 127.0.0.1."""
    receiver = WebhookReceiver(respond)
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", 0, ssl=ssl_context)  # noqa: SLF001 - its own
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver._end_connections()  # noqa: SLF001 - its own
