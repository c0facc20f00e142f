"""Authentication of every request, before it reaches an endpoint."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fuze_gateway.api_keys.authenticator import KEY_PREFIX, ApiKeyAuthenticator
from fuze_gateway.auth.oidc import OidcAuthenticator
from fuze_gateway.auth.principals import ANONYMOUS, Principal, UnauthenticatedError
from fuze_gateway.problems import errors
from fuze_gateway.upstreams import UpstreamUnavailableError

_PUBLIC_PATHS = frozenset({"/", "/livez", "/readyz", "/docs", "/openapi.json", "/problems"})
_PUBLIC_PREFIXES = ("/webhooks/", "/problems/", "/docs/", "/static-offline-docs/")
"""Paths without authentication: probes, documentation, and webhooks, which are signed."""


class Authenticator:
    """Authenticates by API key or by access token; without either, authentication is off."""

    def __init__(
        self, *, api_keys: ApiKeyAuthenticator | None, tokens: OidcAuthenticator | None
    ) -> None:
        self._api_keys = api_keys
        self._tokens = tokens

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Return the caller.

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
            return await self._api_keys.authenticate(credentials)
        if self._tokens is None:
            raise UnauthenticatedError(
                "The credentials are not an API key, and access tokens are not configured."
            )
        return await self._tokens.authenticate(credentials)


class AuthenticationMiddleware:
    """ASGI middleware: 401 for a caller without valid credentials.

    It runs before routing, so that a new endpoint is protected unless its path is made public.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate the caller and pass the request on with `state.principal`."""
        if scope["type"] != "http" or _is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        authenticator: Authenticator = scope["app"].state.services.authenticator
        try:
            principal = await authenticator.authenticate(Headers(scope=scope))
        except UnauthenticatedError as error:
            problem = errors.unauthenticated(error.detail)
        except UpstreamUnavailableError as error:
            problem = errors.upstream_unavailable(error)
        else:
            scope.setdefault("state", {})["principal"] = principal
            await self._app(scope, receive, send)
            return
        await errors.to_response(Request(scope), problem)(scope, receive, send)


def _is_public(path: str) -> bool:
    return path in _PUBLIC_PATHS or path.startswith(_PUBLIC_PREFIXES)
