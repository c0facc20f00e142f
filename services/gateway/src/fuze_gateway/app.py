"""The gateway as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send
from temporalio.client import Client

from fuze_gateway import health, openapi_document
from fuze_gateway.api_keys import endpoints as api_keys
from fuze_gateway.app_services import build_services
from fuze_gateway.auth import endpoints as caller
from fuze_gateway.auth.authentication import AuthenticationMiddleware
from fuze_gateway.codec_server import endpoints as codec_server
from fuze_gateway.database import Database
from fuze_gateway.middleware.access_log import PROBE_PATHS, AccessLogMiddleware
from fuze_gateway.middleware.body_limits import BodyLimitsMiddleware
from fuze_gateway.middleware.rate_limit import RateLimitMiddleware
from fuze_gateway.middleware.request_timeout import RequestTimeoutMiddleware
from fuze_gateway.middleware.security_headers import SecurityHeadersMiddleware
from fuze_gateway.orders.endpoints import commands, create, detail, feed, recover, stream
from fuze_gateway.orders.endpoints import list as order_list
from fuze_gateway.payments import endpoints as payments
from fuze_gateway.problems import endpoints as problems
from fuze_gateway.problems import handlers
from fuze_gateway.returns import endpoints as returns
from fuze_gateway.settings import GatewaySettings
from fuze_gateway.task_queues import endpoints as task_queues
from fuze_gateway.webhook_endpoints import endpoints as webhook_endpoints
from fuze_gateway.webhooks import endpoints as webhooks
from fuze_runtime import cli, metrics, temporal, tracing
from fuze_runtime.http_metrics import HttpMetricsMiddleware

VERSION = version("fuze-gateway")

_ROUTERS = (  # in the order of matching: the most frequent requests first
    detail.router,
    order_list.router,
    create.router,
    feed.router,
    stream.router,
    commands.router,
    recover.router,
    payments.router,
    returns.router,
    caller.router,
    api_keys.router,
    webhook_endpoints.router,
    webhooks.router,
    health.router,
    task_queues.router,
    problems.router,
)

_MIN_GZIP_BYTES = 1024
_DESCRIPTION = """
Every error response is a problem (RFC 9457); branch on its `type`. Amounts are in minor units
(cents, yen). Every write is safe to repeat, by the order id or by `Idempotency-Key`. While
PostgreSQL or Temporal is unavailable, the response is 503 with `Retry-After`, and nothing is lost.
"""
_TAGS = [
    {"name": "orders", "description": "Place orders and read them."},
    {
        "name": "commands",
        "description": "Change an order and wait for the outcome (200, or a problem).",
    },
    {
        "name": "signals",
        "description": "Signals are asynchronous (202). To wait for the outcome, use the commands.",
    },
    {"name": "bulk", "description": "The same command to many orders."},
    {"name": "payments", "description": "Charges, refunds and discrepancies."},
    {"name": "returns", "description": "Take back shipped lines, and refund them."},
    {"name": "API keys", "description": "Create, list and revoke API keys."},
    {"name": "webhooks", "description": "Signed events of the payment providers and the carriers."},
    {
        "name": "webhook endpoints",
        "description": "Have the events of orders sent to you, signed as in Standard Webhooks.",
    },
    {"name": "health", "description": "Probes for the platform."},
    {"name": "problems", "description": "The registry of problem types."},
]


def create_app(
    settings: GatewaySettings,
    *,
    database: Database | None = None,
    client: Client | None = None,
) -> FastAPI:
    """Build the application. A database or client that is not given is created at startup.

    It starts without PostgreSQL and Temporal: both are connected on first use. The caller closes
    the database and the client that it passes.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            pool = database or Database(settings, "fuze-gateway", settings.read_timeout)
            if database is None:
                stack.push_async_callback(pool.aclose)
            http = await stack.enter_async_context(
                httpx.AsyncClient(timeout=settings.read_timeout.total_seconds())
            )
            temporal_client = client or await _connect(settings)
            services = build_services(settings, pool, temporal_client, http)
            app.state.services = services
            stack.push_async_callback(services.broadcaster.aclose)
            await stack.enter_async_context(_background(services.task_queues.run()))
            await stack.enter_async_context(
                metrics.publish_gauges(
                    metrics.get_meter(temporal_client),
                    (services.read_gauges, metrics.PROCESS_INTERVAL),
                    is_enabled=settings.metrics_address is not None,
                )
            )
            yield

    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        redirect_slashes=False,  # the redirect would go to the Host header of the caller
        # Not include_router: FastAPI would match each request against the router, then its routes.
        routes=[route for router in _ROUTERS for route in router.routes],
        title="Fuze",
        summary="Place orders, track them, change them.",
        description=_DESCRIPTION.strip(),
        version=VERSION,
        servers=openapi_document.SERVERS,
        contact=openapi_document.CONTACT,
        license_info=openapi_document.LICENSE,
        openapi_tags=_TAGS,
        lifespan=lifespan,
        # One span per request; the spans of FastAPI's internal steps add nothing.
        telemetry={
            "tracing": tracing.is_enabled(),
            "metrics": False,  # Temporal's SDK serves those of the process, ours too
            "logs": False,
            "operation_spans": False,
            "exclude": _is_probe,
        },
    )
    handlers.install(app)

    @app.get("/", include_in_schema=False)
    async def root() -> dict[str, str]:
        return {"name": "fuze", "version": VERSION, "docs": "/docs"}

    if settings.codec_server and settings.payload_keys:
        app.include_router(codec_server.build_router(settings.payload_keys))
    _extend_openapi(app)
    _add_middleware(app, settings)
    return app


async def _connect(settings: GatewaySettings) -> Client:
    return await temporal.connect(
        lazy=True,
        metrics_address=settings.metrics_address,
        compression=settings.temporal_compression,
        payload_keys=settings.payload_keys,
    )


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    running = asyncio.create_task(work)
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def _extend_openapi(app: FastAPI) -> None:
    """Complete FastAPI's document, once."""
    build_openapi = app.openapi

    def extended() -> dict[str, Any]:
        if app.openapi_schema is None:
            openapi_document.complete(build_openapi())
        return build_openapi()

    app.openapi = extended  # type: ignore[method-assign] # FastAPI's documented way


def _add_middleware(app: FastAPI, settings: GatewaySettings) -> None:
    """Add the middleware, innermost first. All of it is plain ASGI."""
    app.add_middleware(
        BodyLimitsMiddleware, max_bytes=settings.max_body_bytes, timeout=settings.body_timeout
    )
    app.add_middleware(RateLimitMiddleware)
    app.add_middleware(AuthenticationMiddleware)
    app.add_middleware(RequestTimeoutMiddleware, timeout=settings.request_timeout)
    app.add_middleware(_GZipMiddleware, minimum_size=_MIN_GZIP_BYTES)
    if settings.cors_origins:
        allowed_headers = ["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"]
        if settings.codec_server:
            allowed_headers.append("X-Namespace")  # Temporal's Web UI sends it
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=allowed_headers,
            expose_headers=[
                "Idempotent-Replayed",
                "Link",
                "Location",
                "Retry-After",
                "X-Request-ID",
            ],
            max_age=600,
        )
    app.add_middleware(AccessLogMiddleware)
    if settings.metrics_address:
        app.add_middleware(HttpMetricsMiddleware)
    app.add_middleware(SecurityHeadersMiddleware, https_only=settings.environment == "production")


class _GZipMiddleware(GZipMiddleware):
    """Adds no overhead for callers that do not accept gzip."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compress the response if the caller accepts gzip."""
        headers = scope.get("headers", ())
        if any(name == b"accept-encoding" and b"gzip" in value for name, value in headers):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _is_probe(scope: Scope) -> bool:
    return scope["path"] in PROBE_PATHS


def __getattr__(name: str) -> FastAPI:
    """Build `app` on access, so that `uvicorn fuze_gateway.app:app` reads the environment then.

    Raises:
        AttributeError: another name was accessed.

    """
    if name == "app":
        return create_app(cli.load_settings(GatewaySettings))
    raise AttributeError(name)
