"""Signing in with an API key or at the identity provider, and signing out."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from fuze_client import FuzeError, Problem
from fuze_console.context import ConsoleServices, ServicesDependency, require_same_session
from fuze_console.oidc import LoginError
from fuze_console.problems import is_unauthenticated, to_problem
from fuze_console.sessions import Session, SessionTooLargeError

router = APIRouter()

_TOO_LARGE = "The access token is too large for a cookie: let the provider put less into it."


@router.get("/sign-in")
async def show_sign_in(request: Request, services: ServicesDependency, next: str = "/") -> Response:  # noqa: A002 - the parameter's name
    """Show how one can sign in; a gateway without authentication needs a name only."""
    session = services.cookies.read(request.cookies)
    is_open = True
    problem: Problem | None = None
    try:
        await services.create_client(None).get_caller()
    except FuzeError as error:
        is_open = False
        problem = None if is_unauthenticated(error) else to_problem(error)
    return _render(
        request, services, session, next_url=_local(next), is_open=is_open, problem=problem
    )


@router.post("/sign-in", dependencies=[Depends(require_same_session)])
async def sign_in(
    request: Request,
    services: ServicesDependency,
    api_key: Annotated[str, Form()] = "",
    actor: Annotated[str, Form(max_length=100)] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Sign in with an API key, or without one where the gateway needs none."""
    credential = api_key.strip() or None
    try:
        session = await _open_session(services, credential, actor=actor.strip() or None)
    except (FuzeError, LoginError) as error:
        return _render(
            request,
            services,
            services.cookies.read(request.cookies),
            status=HTTPStatus.UNAUTHORIZED,
            next_url=_local(next),
            problem=to_problem(error) if isinstance(error, FuzeError) else None,
            error=None if isinstance(error, FuzeError) else str(error),
        )
    return _redirect(services, _local(next), session)


@router.get("/sign-in/provider")
async def begin_login(
    request: Request,
    services: ServicesDependency,
    next: str = "/",  # noqa: A002 - the parameter's name
) -> Response:
    """Go to the identity provider."""
    session = services.cookies.read(request.cookies)
    if services.identity_provider is None:
        return RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    try:
        url, pending = await services.identity_provider.begin(_local(next))
    except LoginError as error:
        return _fail(request, services, str(error))
    return _redirect(services, url, session.model_copy(update={"pending_login": pending}))


@router.get("/sign-in/callback")
async def finish_login(request: Request, services: ServicesDependency) -> Response:
    """Return from the identity provider."""
    pending = services.cookies.read(request.cookies).pending_login
    if services.identity_provider is None or pending is None:
        return _fail(request, services, "No login has begun in this browser. Try again.")
    if refusal := request.query_params.get("error"):
        return _fail(request, services, f"The identity provider refused: {refusal}.")
    try:
        token = await services.identity_provider.finish(pending, str(request.url))
        session = await _open_session(services, token)
    except LoginError as error:
        return _fail(request, services, str(error))
    except FuzeError as error:
        return _fail(request, services, f"The gateway refused the token. {error}")
    return _redirect(services, pending.next, session)


@router.post("/sign-out", dependencies=[Depends(require_same_session)])
async def sign_out(services: ServicesDependency) -> Response:
    """End the session."""
    response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
    services.cookies.write(response, Session())
    return response


async def _open_session(
    services: ConsoleServices, credential: str | None, actor: str | None = None
) -> Session:
    """Return a new session with what the gateway says about the credential."""
    try:
        caller = await services.create_client(credential).get_caller()
    except UnicodeError:  # of a header
        raise LoginError("An API key has letters, digits and `_` only.") from None
    return Session(
        is_signed_in=True,
        credential=credential,
        name=caller.name,
        actor=actor,
        scopes=frozenset(caller.scopes),
    )


def _redirect(services: ConsoleServices, url: str, session: Session) -> Response:
    response = RedirectResponse(url, HTTPStatus.SEE_OTHER)
    try:
        services.cookies.write(response, session)
    except SessionTooLargeError:
        return Response(_TOO_LARGE, HTTPStatus.BAD_GATEWAY, media_type="text/plain")
    return response


def _fail(request: Request, services: ConsoleServices, error: str) -> Response:
    session = services.cookies.read(request.cookies)
    return _render(request, services, session, status=HTTPStatus.BAD_GATEWAY, error=error)


def _render(  # noqa: PLR0913 - each by its name
    request: Request,
    services: ConsoleServices,
    session: Session,
    *,
    status: int = HTTPStatus.OK,
    next_url: str = "/",
    is_open: bool = False,
    problem: Problem | None = None,
    error: str | None = None,
) -> Response:
    response = services.renderer.render(
        request,
        "sign_in.html",
        session=session,
        status_code=status,
        next=next_url,
        is_open=is_open,
        problem=problem,
        error=error,
        has_provider=services.identity_provider is not None,
    )
    services.cookies.write(response, session)  # its token protects the form
    return response


def _local(url: str) -> str:
    """Return a path of the console; whatever else was sent is replaced."""
    is_local = url.startswith("/") and not url.startswith(("//", "/\\"))
    return url if is_local else "/"
