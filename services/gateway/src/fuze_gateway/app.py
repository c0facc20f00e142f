"""The gateway as an ASGI application."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send
from temporalio.client import Client

from fuze_gateway import problem_handlers
from fuze_gateway.access import PROBES, AccessLog
from fuze_gateway.database import Database
from fuze_gateway.deadlines import RequestDeadline
from fuze_gateway.dependencies import sources_of
from fuze_gateway.documented import describe_problems
from fuze_gateway.headers import StandardHeaders
from fuze_gateway.identity.authentication import Authentication
from fuze_gateway.identity.authorization import SECURITY_SCHEMES
from fuze_gateway.limits import BodyLimits
from fuze_gateway.routes import (
    api_keys,
    bulk,
    carrier_webhooks,
    decisions,
    health,
    lists,
    payments,
    placing,
    reading,
    registry,
    signals,
    stream,
    webhooks,
)
from fuze_gateway.settings import GatewaySettings
from fuze_runtime import temporal
from fuze_runtime.telemetry import is_tracing_enabled

VERSION = version("fuze-gateway")

_ROUTERS = (
    reading.router,  # first what is asked for most
    lists.router,
    bulk.router,
    placing.router,
    stream.router,
    decisions.router,
    signals.router,
    payments.router,
    api_keys.router,
    webhooks.router,
    carrier_webhooks.router,
    health.router,
    registry.router,
)

_SMALLEST_ZIPPED_BYTES = 1024
_DESCRIPTION = """
Every error is a problem of RFC 9457; decide by its `type`. Money is in minor units (cents, yen).
Whatever changes something can be repeated: by the order's id, or by `Idempotency-Key`. While
PostgreSQL or Temporal is away the answer is 503 with `Retry-After`, and nothing is lost.
"""


def create_app(
    settings: GatewaySettings,
    *,
    database: Database | None = None,
    client: Client | None = None,
) -> FastAPI:
    """Build the application; what it is not given, it makes when it starts.

    It starts while PostgreSQL and Temporal are away: both are connected to when first needed. A
    given database or client stays the caller's to close.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            read = database or Database(settings, "fuze-gateway", settings.read_timeout)
            if database is None:
                stack.push_async_callback(read.aclose)
            http = await stack.enter_async_context(
                httpx.AsyncClient(timeout=settings.read_timeout.total_seconds())
            )
            app.state.sources = sources_of(
                settings, read, client or await temporal.connect(lazy=True), http
            )
            stack.push_async_callback(app.state.sources.feed.aclose)
            yield

    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        redirect_slashes=False,  # a redirect leads to whatever the caller calls this host
        # Rather than included: FastAPI matches a request with a router, then with its routes.
        routes=[route for router in _ROUTERS for route in router.routes],
        title="Fuze",
        summary="Place orders, follow them, decide about them.",
        description=_DESCRIPTION.strip(),
        version=VERSION,
        lifespan=lifespan,
        # FastAPI opens a span for each request by itself; spans of its own steps say nothing more.
        telemetry={"operation_spans": False, "exclude": _without_spans()},
    )
    problem_handlers.install(app)

    @app.get("/", include_in_schema=False)
    async def root() -> dict[str, str]:
        return {"name": "fuze", "version": VERSION, "docs": "/docs"}

    _describe(app)
    _add_middleware(app, settings)
    return app


def _describe(app: FastAPI) -> None:
    """Let the description have each problem once, however many operations can meet it."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            describe_problems(describe())
            describe()["components"]["securitySchemes"] = SECURITY_SCHEMES
        return describe()

    app.openapi = described  # type: ignore[method-assign] # FastAPI's documented way


def _add_middleware(app: FastAPI, settings: GatewaySettings) -> None:
    """Put the layers around the routes, the innermost first. All of them are plain ASGI."""
    app.add_middleware(BodyLimits, max_bytes=settings.max_body_bytes, timeout=settings.body_timeout)
    app.add_middleware(Authentication)
    app.add_middleware(RequestDeadline, limit=settings.request_timeout)
    app.add_middleware(_GZip, minimum_size=_SMALLEST_ZIPPED_BYTES)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
            expose_headers=[
                "Idempotent-Replayed",
                "Link",
                "Location",
                "Retry-After",
                "X-Request-ID",
            ],
            max_age=600,
        )
    app.add_middleware(AccessLog)
    app.add_middleware(StandardHeaders, https_only=settings.environment == "production")


class _GZip(GZipMiddleware):
    """Steps aside where the caller does not ask for it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Compress the answer, if the caller can read that."""
        headers = scope.get("headers", ())
        if any(name == b"accept-encoding" and b"gzip" in value for name, value in headers):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _without_spans() -> Callable[[Scope], bool]:
    """Return whether a span of a request would say nothing, or nobody would hear of it."""
    nobody_hears = not is_tracing_enabled()

    def is_without(scope: Scope) -> bool:
        return (nobody_hears and scope["method"] == "GET") or scope["path"] in PROBES

    return is_without


def __getattr__(name: str) -> FastAPI:
    """Build `app` when it is asked for: `uvicorn fuze_gateway.app:app` reads the environment then.

    Raises:
        AttributeError: another name was asked for.

    """
    if name == "app":
        return create_app(GatewaySettings())
    raise AttributeError(name)
