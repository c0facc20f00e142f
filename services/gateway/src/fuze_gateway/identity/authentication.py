"""What comes before anything else: who calls, and whether they call too often."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fuze_gateway import problems
from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.identity.api_keys import KEY_PREFIX, ApiKeyCallers
from fuze_gateway.identity.callers import ANYONE, Caller, NotAuthenticatedError
from fuze_gateway.identity.oidc import OidcCallers
from fuze_gateway.identity.rate_limits import RateLimits
from fuze_gateway.problem_handlers import problem_of

_OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/docs", "/openapi.json", "/problems"})
_OPEN_PREFIXES = ("/webhooks/", "/problems/", "/docs/", "/static-offline-docs/")
"""What needs no caller: probes, documents, and webhooks, which prove themselves by a signature."""


class Callers:
    """Who a request's credentials stand for."""

    def __init__(self, *, keys: ApiKeyCallers | None, tokens: OidcCallers | None) -> None:
        self._keys = keys
        self._tokens = tokens

    async def caller(self, headers: Mapping[str, str]) -> Caller:
        """Return who calls.

        Raises:
            NotAuthenticatedError: nobody that we know.
            SourceUnavailableError: it cannot be said now.

        """
        if self._keys is None:
            return ANYONE
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not credentials:
            raise NotAuthenticatedError("Send an API key or a token as Authorization: Bearer.")
        if credentials.startswith(KEY_PREFIX):
            return await self._keys.caller(credentials)
        if self._tokens is None:
            raise NotAuthenticatedError("That is no API key, and no other token is taken here.")
        return await self._tokens.caller(credentials)


class Authentication:
    """ASGI middleware: 401 for a caller that is nobody, 429 for one that calls too often.

    It comes before the routes, so that a new one is closed until somebody opens it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out who calls, and pass the request on with `state.caller`."""
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        sources = scope["app"].state.sources
        limits: RateLimits = sources.rate_limits
        try:
            caller = await sources.callers.caller(Headers(scope=scope))
            await limits.count(caller)
        except NotAuthenticatedError as error:
            problem = problems.not_authenticated(error.why)
        except SourceUnavailableError as error:
            problem = problem_of(error)
        except problems.Problem as error:
            problem = error
        else:
            scope.setdefault("state", {})["caller"] = caller
            await self._app(scope, receive, send)
            return
        await problems.respond(Request(scope), problem)(scope, receive, send)


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_PREFIXES)
