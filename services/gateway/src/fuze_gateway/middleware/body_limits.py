"""Limits on the size and the duration of a request body, enforced while it arrives."""

import asyncio
import re
from datetime import timedelta

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fuze_gateway.problems import errors, registry

_CONTENT_LENGTH = re.compile("[0-9]{1,19}")


class BodyLimitsMiddleware:
    """ASGI middleware: 413 for a body that is too large, 408 for one that arrives too slowly.

    `Content-Length` is only a claim, so the received bytes are counted. Starlette's own limit
    responds in plain text and has no timeout.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, timeout: timedelta) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that raises a problem at a limit."""
        if (
            scope["type"] != "http" or scope["method"] == "GET"
        ):  # no endpoint reads the body of a GET
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        problem = None
        if not _CONTENT_LENGTH.fullmatch(announced):
            problem = errors.Problem(registry.MALFORMED_REQUEST)
        elif int(announced) > self._max_bytes:
            problem = errors.body_too_large(self._max_bytes)
        if problem:
            await errors.to_response(Request(scope), problem)(scope, receive, send)
            return
        bounded = _BoundedReceive(receive, self._max_bytes, self._timeout)
        await self._app(scope, bounded, send)


class _BoundedReceive:
    """`receive` with limits until the body is complete. After it, only a disconnect can arrive."""

    def __init__(self, receive: Receive, max_bytes: int, timeout: timedelta) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._deadline = asyncio.get_running_loop().time() + timeout.total_seconds()
        self._received = 0
        self._more = True

    async def __call__(self) -> Message:
        if not self._more:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise errors.request_timeout() from None
        self._received += len(message.get("body", b""))
        if self._received > self._max_bytes:
            raise errors.body_too_large(self._max_bytes)
        self._more = message.get("more_body", False)
        return message
