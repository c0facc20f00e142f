"""What a route asks of its caller: said in the API's description, and held by that."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Response
from fastapi.routing import APIRoute
from starlette.requests import Request

from fuze_gateway import problems
from fuze_gateway.identity.callers import Caller, Scope
from fuze_gateway.strict_json import StrictRequest

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`fz_…`), or an access token of the identity provider.",
    }
}


def requires(scope: Scope) -> dict[str, Any]:
    """Return the `openapi_extra` of a `ScopedRoute` that takes this scope."""
    return {"security": [{"bearer": [scope.value]}]}


class ScopedRoute(APIRoute):
    """A route that refuses a caller without the scope that it documents, and before it reads."""

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler behind the check.

        Raises:
            LookupError: the route documents no scope.

        """
        handle = super().get_route_handler()
        [security] = (self.openapi_extra or {}).get("security", [None])
        if security is None:
            raise LookupError(f"{self.path} does not say which scope it takes")
        required = frozenset(security["bearer"])

        async def handle_if_allowed(request: Request) -> Response:
            caller: Caller = request.scope["state"]["caller"]
            if not required <= caller.scopes:
                raise problems.insufficient_scope(sorted(required))
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_if_allowed
