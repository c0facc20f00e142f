"""The rate limit of each authenticated caller."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fuze_gateway.auth.principals import Principal
from fuze_gateway.problems import errors
from fuze_gateway.rate_limiter import RateLimiter


class RateLimitMiddleware:
    """ASGI middleware: 429 for a caller that exceeds the limit.

    A bulk request counts as one here; its endpoint counts the other orders. Callers without a name
    are not counted: authentication is off, or has failed, which has a limit of its own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request, then pass it on or respond 429."""
        principal: Principal | None = scope.get("state", {}).get("principal")
        if principal is not None and principal.id is not None:
            limiter: RateLimiter = scope["app"].state.services.caller_limiter
            if exceeded := await limiter.hit(principal.id):
                problem = errors.rate_limit_exceeded(exceeded)
                await errors.to_response(Request(scope), problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)
