"""One log line a request; those that only read, and could, are for `DEBUG`."""

import logging
import time
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROBES = frozenset({"/livez", "/readyz"})
"""Asked every few seconds by whoever runs the gateway; their lines and spans would say nothing."""

_log = structlog.get_logger(__name__)
_stdlib_log = logging.getLogger(__name__)


class AccessLog:
    """ASGI middleware: says who was asked for what, and how that went, once it is over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and log its end, be it an answer or an exception."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # what the server answers if nobody else does

        async def send_and_remember(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_and_remember)
        finally:
            level = logging.DEBUG if _is_unremarkable(scope, status) else logging.INFO
            if _stdlib_log.isEnabledFor(level):
                _log.log(
                    level,
                    "request",
                    method=scope["method"],
                    path=_template(scope),
                    status=status,
                    duration_ms=round((time.perf_counter() - started) * 1000, 1),
                    caller=_caller(scope),
                    **_order_field(scope),
                )


def _is_unremarkable(scope: Scope, status: int) -> bool:
    """Whether a line would say nothing: somebody read something, or probed, and all was well."""
    return scope["path"] in PROBES or (scope["method"] == "GET" and status < HTTPStatus.BAD_REQUEST)


def _template(scope: Scope) -> str | None:
    """Return the path as the route spells it: as many values as there are routes."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path


def _caller(scope: Scope) -> str | None:
    caller = scope.get("state", {}).get("caller")
    return caller.name if caller else None


def _order_field(scope: Scope) -> dict[str, str]:
    order_id = scope.get("path_params", {}).get("order_id")
    return {"order_id": order_id} if order_id else {}
