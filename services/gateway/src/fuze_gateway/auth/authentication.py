"""Authentication of every request, before it reaches an endpoint."""

from collections.abc import Mapping
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fuze_gateway.api_keys.authenticator import KEY_PREFIX, ApiKeyAuthenticator
from fuze_gateway.auth.oidc import OidcAuthenticator
from fuze_gateway.auth.principals import ANONYMOUS, Principal, UnauthenticatedError
from fuze_gateway.auth.stream_tickets import StreamTickets, find_ticket
from fuze_gateway.problems import errors
from fuze_gateway.problems.errors import Problem
from fuze_gateway.rate_limiter import RateLimiter, get_client_network
from fuze_gateway.upstreams import UpstreamUnavailableError

_PUBLIC_PATHS = frozenset({"/", "/livez", "/readyz", "/docs", "/openapi.json", "/problems"})
_PUBLIC_PREFIXES = ("/webhooks/", "/problems/", "/docs/", "/static-offline-docs/")
"""Paths without authentication: probes, documentation, and webhooks, which are signed."""

_log = structlog.get_logger(__name__)


class Authenticator:
    """Authenticates by API key or by access token; without either, authentication is off."""

    def __init__(
        self, *, api_keys: ApiKeyAuthenticator | None, tokens: OidcAuthenticator | None
    ) -> None:
        self._api_keys = api_keys
        self._tokens = tokens

    async def authenticate(
        self, headers: Mapping[str, str], *, only_known: bool = False
    ) -> Principal:
        """Return the caller; with `only_known`, without a query for an unknown API key.

        Raises:
            UnauthenticatedError: the credentials are missing or invalid.
            UpstreamUnavailableError: they cannot be verified now.

        """
        if self._api_keys is None:
            return ANONYMOUS
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not credentials:
            raise UnauthenticatedError(
                "Send an API key or an access token as Authorization: Bearer."
            )
        if credentials.startswith(KEY_PREFIX):
            return await self._api_keys.authenticate(credentials, only_known=only_known)
        if self._tokens is None:
            raise UnauthenticatedError(
                "The credentials are not an API key, and access tokens are not configured."
            )
        return await self._tokens.authenticate(credentials)


class AuthenticationMiddleware:
    """ASGI middleware: 401 for a caller without valid credentials, 429 after too many of them.

    Failures are counted by client address. Above the limit, an API key that has authenticated
    before is still accepted: others may share the address.

    It runs before routing, so that a new endpoint is protected unless its path is made public.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate the caller and pass the request on with `state.principal`."""
        if scope["type"] != "http" or _is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        services = scope["app"].state.services
        failures: RateLimiter = services.failure_limiter
        address = get_client_network(scope.get("client"))
        try:
            principal = await self._authenticate(scope, services, address)
        except UnauthenticatedError as error:
            problem = await self._fail(address, error, failures)
        except UpstreamUnavailableError as error:
            problem = errors.upstream_unavailable(error)
        else:
            scope.setdefault("state", {})["principal"] = principal
            await self._app(scope, receive, send)
            return
        await errors.to_response(Request(scope), problem)(scope, receive, send)

    @staticmethod
    async def _authenticate(scope: Scope, services: Any, address: str) -> Principal:  # noqa: ANN401 - AppServices imports this module
        """Return the caller by the ticket in the URL of a stream, or by the headers."""
        authenticator: Authenticator = services.authenticator
        tickets: StreamTickets = services.stream_tickets
        if found := find_ticket(scope):
            return tickets.authenticate(*found)
        failures: RateLimiter = services.failure_limiter
        return await authenticator.authenticate(
            Headers(scope=scope), only_known=await failures.check(address) is not None
        )

    @staticmethod
    async def _fail(address: str, error: UnauthenticatedError, failures: RateLimiter) -> Problem:
        """Count and log a failed authentication, and return its problem."""
        if exceeded := await failures.hit(address):
            return errors.too_many_failures(exceeded)
        _log.warning(
            "authentication failed", client=address, key_id=error.key_id, reason=error.detail
        )
        return errors.unauthenticated(error.detail)


def _is_public(path: str) -> bool:
    return path in _PUBLIC_PATHS or path.startswith(_PUBLIC_PREFIXES)
