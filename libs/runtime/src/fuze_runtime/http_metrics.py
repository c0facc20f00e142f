"""Rate, errors and duration of requests, by route template: never by path."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from temporalio.common import MetricHistogramFloat, MetricMeter

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

RequestDuration = MetricHistogramFloat
"""The time until responses begin, in seconds."""


def create_request_duration(name: str, meter: MetricMeter | None) -> RequestDuration:
    """Return the histogram of a process; without a meter nothing is recorded."""
    meter = meter or MetricMeter.noop
    return meter.create_histogram_float(name, "Time until the response begins", "seconds")


class HttpMetricsMiddleware:
    """ASGI middleware: record the time until the response of each request begins.

    `app.state.services` has the histogram, as `request_duration`. The number of requests is that of
    the records; an event stream ends long after it has begun.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and record when its response begins, or that there was none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        has_begun = False

        async def send_and_record(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                _record(scope, message["status"], time.perf_counter() - started)
            await send(message)

        try:
            await self._app(scope, receive, send_and_record)
        except BaseException:
            if not has_begun:
                _record(scope, 500, time.perf_counter() - started)
            raise


def _record(scope: Scope, status: int, seconds: float) -> None:
    duration: RequestDuration = scope["app"].state.services.request_duration
    method = scope["method"] if scope["method"] in _METHODS else "other"
    route = getattr(scope.get("route"), "path", None) or "unmatched"
    duration.record(seconds, {"method": method, "route": route, "status": str(status)})
