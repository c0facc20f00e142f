"""Authorization: the scope that an endpoint documents is the scope that it enforces."""

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from fastapi import Response
from fastapi.routing import APIRoute
from starlette.requests import Request

from fuze_gateway.auth.principals import Principal, Scope
from fuze_gateway.json_body import StrictRequest
from fuze_gateway.problems import errors

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`fz_…`), or an access token of the identity provider.",
    }
}


REQUIRED_SCOPE = "x-required-scope"

_CREATES_ORDER = "startOrder"


def requires(scope: Scope) -> dict[str, Any]:
    """Return the `openapi_extra` of a `ScopedRoute` that requires this scope.

    OpenAPI has scopes in `security` for OAuth 2 only, so an extension names it.
    """
    return {"security": [{"bearer": []}], REQUIRED_SCOPE: scope.value}


class ScopedRoute(APIRoute):
    """A route that responds 403 without its documented scope, before it reads the body.

    A route of one order responds 404 to a caller without access to the order.
    """

    def get_route_handler(self) -> Handler:
        """Return FastAPI's handler behind the check.

        Raises:
            LookupError: the route documents no scope.

        """
        handle = super().get_route_handler()
        scope = (self.openapi_extra or {}).get(REQUIRED_SCOPE)
        if scope is None:
            raise LookupError(f"{self.path} documents no scope: pass openapi_extra=requires(…)")
        required = Scope(scope)
        is_of_order = "{order_id}" in self.path and self.operation_id != _CREATES_ORDER

        async def handle_if_authorized(request: Request) -> Response:
            principal: Principal = request.scope["state"]["principal"]
            if required not in principal.scopes:
                raise errors.insufficient_scope(required)
            if is_of_order:
                await _require_access(request, principal)
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_if_authorized


async def _require_access(request: Request, principal: Principal) -> None:
    try:
        order_id = UUID(request.path_params["order_id"])
    except ValueError:  # the endpoint responds 422
        return
    await request.app.state.services.ownership.require_access(principal, order_id)
