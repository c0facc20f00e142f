"""One log line per request; successful reads are logged at `DEBUG`."""

import logging
import time
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROBE_PATHS = frozenset({"/livez", "/readyz"})
"""Requested every few seconds by the platform: logged at `DEBUG`, never traced."""

_log = structlog.get_logger(__name__)
_stdlib_log = logging.getLogger(__name__)


class AccessLogMiddleware:
    """ASGI middleware: log each request once it has ended."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and log how it ended: with a response or an exception."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # the server's response when the application sends none

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, send_and_record)
        finally:
            level = logging.DEBUG if _is_routine(scope, status) else logging.INFO
            if _stdlib_log.isEnabledFor(level):
                _log.log(
                    level,
                    "request",
                    method=scope["method"],
                    path=_route_template(scope),
                    status=status,
                    duration_ms=round((time.perf_counter() - started) * 1000, 1),
                    principal=_principal_name(scope),
                    client=client[0] if (client := scope.get("client")) else None,
                    **_order_field(scope),
                )


def _is_routine(scope: Scope, status: int) -> bool:
    """Return whether the request is a probe or a successful read."""
    is_successful_read = scope["method"] == "GET" and status < HTTPStatus.BAD_REQUEST
    return scope["path"] in PROBE_PATHS or is_successful_read


def _route_template(scope: Scope) -> str | None:
    """Return the path with its placeholders, which bounds the number of distinct values."""
    path: str | None = getattr(scope.get("route"), "path", None)
    return path


def _principal_name(scope: Scope) -> str | None:
    principal = scope.get("state", {}).get("principal")
    return principal.name if principal else None


def _order_field(scope: Scope) -> dict[str, str]:
    order_id = scope.get("path_params", {}).get("order_id")
    return {"order_id": order_id} if order_id else {}
