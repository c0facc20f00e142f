"""A bound on how long a caller waits for an answer to begin."""

import asyncio
from datetime import timedelta

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fuze_gateway import problems


class RequestDeadline:
    """ASGI middleware: 503 where a change was not answered in time.

    What only reads asks each source once, and is bounded by that.
    """

    def __init__(self, app: ASGIApp, *, limit: timedelta) -> None:
        self._app = app
        self._limit = limit.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and answer for it at the deadline."""
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        has_begun = False
        deadline = asyncio.timeout(self._limit)

        async def send_and_remember(message: Message) -> None:
            nonlocal has_begun
            if not has_begun:
                has_begun = True
                deadline.reschedule(None)
            await send(message)

        try:
            async with deadline:
                await self._app(scope, receive, send_and_remember)
        except TimeoutError:
            if has_begun or not deadline.expired():
                raise
            problem = problems.unavailable(
                "The answer took too long; repeating the request is safe."
            )
            await problems.respond(Request(scope), problem)(scope, receive, send)
