"""What the pages use, and the dependencies that give it to them."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

import httpx
from fastapi import Depends, Request

from fuze_client import AsyncFuzeClient
from fuze_console.oidc import IdentityProvider
from fuze_console.rendering import Renderer
from fuze_console.security import is_same_origin, is_valid_csrf_token
from fuze_console.sessions import Session, SessionCookies
from fuze_console.settings import ConsoleSettings
from fuze_runtime.http_metrics import RequestDuration


@dataclass(frozen=True, kw_only=True)
class ConsoleServices:
    """Everything that the pages use. `is_stopping` ends the streams of open pages."""

    settings: ConsoleSettings
    http: httpx.AsyncClient
    cookies: SessionCookies
    renderer: Renderer
    identity_provider: IdentityProvider | None
    request_duration: RequestDuration
    is_stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def create_client(self, credential: str | None) -> AsyncFuzeClient:
        """Return a client of the gateway; an outage is shown at once, and people try again."""
        url = self.settings.gateway_url
        return AsyncFuzeClient(url, token=credential, retry_for=0, http=self.http)


class SignInRequiredError(Exception):
    """The page needs a person who is signed in. `next` is where to go after that."""

    def __init__(self, next_url: str) -> None:
        super().__init__(next_url)
        self.next = next_url


class ForgedRequestError(Exception):
    """A change was not requested on a page of the console, or on one of an earlier session."""


def get_services(request: Request) -> ConsoleServices:
    """Return the services of the application that received a request."""
    services: ConsoleServices = request.app.state.services
    return services


async def _services(request: Request) -> ConsoleServices:
    return get_services(request)


async def _session(request: Request) -> Session:
    session = get_services(request).cookies.read(request.cookies)
    if not session.is_signed_in:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        raise SignInRequiredError(target if request.method == "GET" else "/")
    return session


async def require_same_session(request: Request) -> None:
    """Reject a form that another site, or a page of another session, has sent.

    Raises:
        ForgedRequestError: the origin or the token differs.

    """
    services = get_services(request)
    session = services.cookies.read(request.cookies)
    form = await request.form()
    is_own = is_same_origin(request, services.settings.public_url)
    if not is_own or not is_valid_csrf_token(session.csrf_token, form.get("csrf_token")):
        raise ForgedRequestError


ServicesDependency = Annotated[ConsoleServices, Depends(_services)]
SessionDependency = Annotated[Session, Depends(_session)]


async def _client(services: ServicesDependency, session: SessionDependency) -> AsyncFuzeClient:
    return services.create_client(session.credential)


ClientDependency = Annotated[AsyncFuzeClient, Depends(_client)]


def sign_in_url(next_url: str) -> str:
    """Return the page to sign in, and to go on from there."""
    return "/sign-in" if next_url == "/" else f"/sign-in?next={quote(next_url, safe='')}"
