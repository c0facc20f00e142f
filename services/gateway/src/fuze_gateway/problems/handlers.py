"""Exception handlers: every error of an endpoint becomes a problem response."""

from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from fuze_gateway.problems import errors, field_errors, registry
from fuze_gateway.problems.errors import Problem, to_response
from fuze_gateway.problems.registry import ProblemType
from fuze_gateway.upstreams import UpstreamUnavailableError

_IDEMPOTENCY_KEY = ("header", "Idempotency-Key")
_FRAMEWORK_PROBLEMS = {
    HTTPStatus.BAD_REQUEST: registry.MALFORMED_BODY,
    HTTPStatus.NOT_FOUND: registry.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: registry.METHOD_NOT_ALLOWED,
}


def install(app: FastAPI) -> None:
    """Register the handlers with the application."""
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(RequestValidationError)(_on_invalid_request)
    app.exception_handler(UpstreamUnavailableError)(_on_upstream_unavailable)
    app.exception_handler(Exception)(_on_unexpected)


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    if isinstance(error, Problem):
        return to_response(request, error)
    problem = _from_framework(error)
    if problem.problem_type is registry.METHOD_NOT_ALLOWED:
        problem.headers = {"Allow": ", ".join(sorted(_allowed_methods(request)))}
    return to_response(request, problem)


async def _on_invalid_request(request: Request, error: RequestValidationError) -> Response:
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return to_response(request, Problem(registry.MALFORMED_BODY))
    if any(one["type"] == "missing" and one["loc"] == _IDEMPOTENCY_KEY for one in found):
        return to_response(request, Problem(registry.IDEMPOTENCY_KEY_MISSING))
    problem = Problem(
        registry.INVALID_REQUEST,
        extensions={"errors": field_errors.describe(list(found))},
    )
    return to_response(request, problem)


async def _on_upstream_unavailable(request: Request, error: UpstreamUnavailableError) -> Response:
    return to_response(request, errors.upstream_unavailable(error))


async def _on_unexpected(request: Request, error: Exception) -> Response:
    del error  # Starlette raises it again and the server logs it
    return to_response(request, Problem(registry.INTERNAL_ERROR))


def _allowed_methods(request: Request) -> set[str]:
    """Return the methods of all routes at a path; Starlette names those of the first route only."""
    matching = [
        route
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    ]
    return {method for route in matching for method in route.methods or ()}


def _from_framework(error: HTTPException) -> Problem:
    """Return the problem of an exception that Starlette or FastAPI raised."""
    status = HTTPStatus(error.status_code)
    problem_type = _FRAMEWORK_PROBLEMS.get(status) or ProblemType(
        slug=status.phrase.lower().replace(" ", "-"),
        status=status,
        meaning=status.description,
        example=f"{status.description or status.phrase}.",
    )
    return Problem(problem_type, headers=error.headers)
