"""A limit on the time until the response of a write begins."""

import asyncio
from datetime import timedelta

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fuze_gateway.problems import errors


class RequestTimeoutMiddleware:
    """ASGI middleware: 503 for a write whose response does not begin in time.

    A read calls each upstream once and is bounded by `read_timeout`.
    """

    def __init__(self, app: ASGIApp, *, timeout: timedelta) -> None:
        self._app = app
        self._seconds = timeout.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and respond in its place at the timeout."""
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        has_begun = False
        timeout = asyncio.timeout(self._seconds)

        async def send_and_stop_timeout(message: Message) -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                # An application may turn the cancellation at the timeout into a response.
                if not timeout.expired():
                    timeout.reschedule(None)
            await send(message)

        try:
            async with timeout:
                await self._app(scope, receive, send_and_stop_timeout)
        except TimeoutError:
            if has_begun or not timeout.expired():
                raise
            problem = errors.unavailable("The request timed out. It is safe to repeat.")
            await errors.to_response(Request(scope), problem)(scope, receive, send)
