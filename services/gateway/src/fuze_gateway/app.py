"""The gateway as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import Scope
from temporalio.client import Client

from fuze_gateway import problems
from fuze_gateway.access import PROBES, AccessLog
from fuze_gateway.dependencies import sources_of
from fuze_gateway.limits import BodyLimits
from fuze_gateway.routes import (
    carrier_webhooks,
    decisions,
    health,
    lists,
    orders,
    payments,
    webhooks,
)
from fuze_gateway.settings import GatewaySettings
from fuze_runtime import temporal
from fuze_runtime.database import create_engine

VERSION = version("fuze-gateway")


def create_app(
    settings: GatewaySettings,
    *,
    engine: AsyncEngine | None = None,
    client: Client | None = None,
) -> FastAPI:
    """Build the application; what it is not given, it makes when it starts.

    It starts while PostgreSQL and Temporal are away: both are connected to when first needed. A
    given engine or client stays the caller's to close.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        pool = engine or create_engine(settings, "fuze-gateway")
        app.state.sources = sources_of(settings, pool, client or await temporal.connect(lazy=True))
        try:
            yield
        finally:
            if engine is None:
                await pool.dispose()

    app = FastAPI(
        title="Fuze",
        summary="Place orders, follow them, tell them things.",
        version=VERSION,
        lifespan=lifespan,
        redoc_url=None,
        # FastAPI opens a span for each request by itself; spans of its own steps say nothing more.
        telemetry={"operation_spans": False, "exclude": _is_probe},
    )
    problems.install(app)
    app.include_router(lists.router)
    app.include_router(orders.router)
    app.include_router(decisions.router)
    app.include_router(payments.router)
    app.include_router(webhooks.router)
    app.include_router(carrier_webhooks.router)
    app.include_router(health.router)

    @app.get("/", include_in_schema=False)
    async def root() -> dict[str, str]:
        return {"name": "fuze", "version": VERSION, "docs": "/docs"}

    app.add_middleware(BodyLimits, max_bytes=settings.max_body_bytes, timeout=settings.body_timeout)
    app.add_middleware(AccessLog)
    return app


def _is_probe(scope: Scope) -> bool:
    return scope["path"] in PROBES


def __getattr__(name: str) -> FastAPI:
    """Build `app` when it is asked for: `uvicorn fuze_gateway.app:app` reads the environment then.

    Raises:
        AttributeError: another name was asked for.

    """
    if name == "app":
        return create_app(GatewaySettings())
    raise AttributeError(name)
