"""Response headers: the request id, and the security headers for browsers."""

import random
import re
from collections.abc import Mapping

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_DOCS_PATHS = frozenset({"/docs", "/docs/oauth2-redirect"})
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_API_ONLY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_YEAR_SECONDS = 31_536_000

RawHeaders = list[tuple[bytes, bytes]]


class SecurityHeadersMiddleware:
    """ASGI middleware: assign the request id and send it, with the security headers.

    A valid `X-Request-ID` of the caller is kept, so that both sides log the same id.
    """

    def __init__(self, app: ASGIApp, *, https_only: bool) -> None:
        self._app = app
        always = dict(_ALWAYS)
        if https_only:
            always["Strict-Transport-Security"] = f"max-age={_YEAR_SECONDS}"
        self._docs_headers = _to_raw(always)
        self._api_headers = _to_raw(always | _API_ONLY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id, and add the headers to its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        raw_id = _get_request_id(scope["headers"])
        request_id = raw_id.decode()
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        path: str = scope["path"]
        is_docs = path in _DOCS_PATHS or path.startswith("/static-offline-docs/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", raw_id),
                    *(self._docs_headers if is_docs else self._api_headers),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _to_raw(headers: Mapping[str, str]) -> RawHeaders:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _get_request_id(headers: RawHeaders) -> bytes:
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value
    return b"%032x" % random.getrandbits(128)
