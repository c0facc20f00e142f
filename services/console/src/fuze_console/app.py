"""The console as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from fuze_client import FuzeError, Problem
from fuze_console import sign_in
from fuze_console.context import (
    ConsoleServices,
    ForgedRequestError,
    SignInRequiredError,
    get_services,
    sign_in_url,
)
from fuze_console.oidc import IdentityProvider
from fuze_console.pages import order, order_actions, orders, overview, webhooks, work
from fuze_console.problems import is_unauthenticated, to_problem
from fuze_console.rendering import Renderer, is_fragment
from fuze_console.security import SecurityHeadersMiddleware
from fuze_console.sessions import Session, SessionCookies
from fuze_console.settings import ConsoleSettings
from fuze_runtime import temporal, tracing
from fuze_runtime.build_info import get_build_info
from fuze_runtime.http_metrics import HttpMetricsMiddleware, create_request_duration

_PROBE_PATHS = frozenset({"/livez", "/readyz"})
_STATIC = Path(__file__).with_name("static")


def create_app(
    settings: ConsoleSettings, *, transport: httpx.AsyncBaseTransport | None = None
) -> FastAPI:
    """Return the console; `transport` is how it reaches the gateway, by default the network."""
    address = settings.metrics_address
    runtime = temporal.create_runtime(address) if address else None
    request_duration = create_request_duration(
        "fuze_console_http_request_duration", runtime.metric_meter if runtime else None
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        timeout = settings.gateway_timeout.total_seconds()
        async with httpx.AsyncClient(timeout=timeout, transport=transport) as http:
            app.state.services = ConsoleServices(
                settings=settings,
                http=http,
                cookies=SessionCookies(settings),
                renderer=Renderer(),
                identity_provider=IdentityProvider(settings) if settings.oidc_issuer else None,
                request_duration=request_duration,
            )
            yield

    app = FastAPI(
        title="Fuze console",
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        telemetry={
            "tracing": tracing.is_enabled(),
            "metrics": False,  # as the gateway's
            "logs": False,
            "operation_spans": False,
            "exclude": lambda scope: scope["path"] in _PROBE_PATHS,
        },
    )
    app.state.runtime = runtime  # the metrics are served for as long as it exists
    if runtime:
        app.add_middleware(HttpMetricsMiddleware)
    app.add_middleware(SecurityHeadersMiddleware, https_only=settings.is_secure)
    app.mount("/static", StaticFiles(directory=_STATIC))
    for page in (sign_in, overview, orders, order_actions, order, work, webhooks):
        app.include_router(page.router)
    app.add_exception_handler(SignInRequiredError, _redirect_to_sign_in)
    app.add_exception_handler(ForgedRequestError, _refuse_forged_request)
    app.add_exception_handler(FuzeError, _show_problem)
    app.add_exception_handler(HTTPStatus.NOT_FOUND, _show_not_found)
    app.add_exception_handler(RequestValidationError, _show_not_found)

    @app.get("/livez")
    async def livez() -> JSONResponse:
        return JSONResponse({"status": "alive"} | get_build_info())

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        return JSONResponse({"status": "ready"})

    return app


async def _redirect_to_sign_in(request: Request, error: Exception) -> Response:
    url = sign_in_url(error.next if isinstance(error, SignInRequiredError) else "/")
    return _redirect(request, url)


def _redirect(request: Request, url: str) -> Response:
    """Redirect the whole page, also where htmx requested a part of it."""
    if is_fragment(request):
        return Response(headers={"HX-Redirect": url})
    return RedirectResponse(url, HTTPStatus.SEE_OTHER)


async def _refuse_forged_request(request: Request, _: Exception) -> Response:
    problem = Problem(
        title="This form is not of this session",
        detail="Nothing was changed. Reload the page, and send it again.",
        status=HTTPStatus.FORBIDDEN,
    )
    return _render_problem(request, problem)


async def _show_problem(request: Request, error: Exception) -> Response:
    """Show what the gateway answered; revoked or expired credentials need another sign-in."""
    assert isinstance(error, FuzeError)  # noqa: S101 - as registered
    if not is_unauthenticated(error):
        return _render_problem(request, to_problem(error))
    response = _redirect(request, sign_in_url(request.url.path))
    get_services(request).cookies.write(response, Session())
    return response


async def _show_not_found(request: Request, _: Exception) -> Response:
    problem = Problem(
        title="There is no such page",
        detail="Its address, or a field of the form, may be misspelt.",
        status=HTTPStatus.NOT_FOUND,
    )
    return _render_problem(request, problem)


def _render_problem(request: Request, problem: Problem) -> Response:
    services = get_services(request)
    session = services.cookies.read(request.cookies)
    return services.renderer.render_problem(request, session, problem)
