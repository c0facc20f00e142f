"""Headers that every answer bears."""

import random
import re
from collections.abc import Mapping

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_PAGES = frozenset({"/docs", "/docs/oauth2-redirect"})
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_OF_AN_API = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_YEAR_SECONDS = 31_536_000

RawHeaders = list[tuple[bytes, bytes]]


class StandardHeaders:
    """ASGI middleware: the request's id, and what keeps browsers from mischief.

    The id is the caller's, where one came in `X-Request-ID`, so that it leads through both logs.
    """

    def __init__(self, app: ASGIApp, *, https_only: bool) -> None:
        self._app = app
        always = dict(_SECURITY)
        if https_only:
            always["Strict-Transport-Security"] = f"max-age={_YEAR_SECONDS}"
        self._of_a_page = _raw(always)
        self._of_an_api = _raw(always | _OF_AN_API)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id, and send the headers with its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        raw_id = _request_id(scope["headers"])
        request_id = raw_id.decode()
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        path: str = scope["path"]
        is_page = path in _PAGES or path.startswith("/static-offline-docs/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", raw_id),
                    *(self._of_a_page if is_page else self._of_an_api),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _raw(headers: Mapping[str, str]) -> RawHeaders:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _request_id(headers: RawHeaders) -> bytes:
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value
    return b"%032x" % random.getrandbits(128)
