"""Whatever goes wrong in a route, as a problem."""

from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from fuze_gateway import problem_types as types
from fuze_gateway.availability import SourceUnavailableError
from fuze_gateway.problem_types import ProblemType
from fuze_gateway.problems import Problem, respond, unavailable

_MOST_ERRORS = 20
_LONGEST_NAME = 64
_NAMES = {
    "temporal": "Temporal",
    "database": "PostgreSQL",
    "identity provider": "The identity provider",
}
_OF_THE_FRAMEWORK = {
    HTTPStatus.BAD_REQUEST: types.MALFORMED_BODY,
    HTTPStatus.NOT_FOUND: types.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED: types.METHOD_NOT_ALLOWED,
}


def install(app: FastAPI) -> None:
    """Answer every error of the app as a problem."""
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(RequestValidationError)(_on_invalid_request)
    app.exception_handler(SourceUnavailableError)(_on_source_unavailable)
    app.exception_handler(Exception)(_on_unhandled)


def problem_of(error: SourceUnavailableError) -> Problem:
    """503: the problem that a source's silence is to a caller."""
    how = "did not answer in time" if error.timed_out else "cannot be reached"
    return unavailable(f"{_NAMES[error.source]} {how}; repeating the request is safe.")


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    if isinstance(error, Problem):
        return respond(request, error)
    problem = _of_the_framework(error)
    if problem.kind is types.METHOD_NOT_ALLOWED:
        problem.headers = {"Allow": ", ".join(sorted(_methods_at(request)))}
    return respond(request, problem)


async def _on_invalid_request(request: Request, error: RequestValidationError) -> Response:
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return respond(request, Problem(types.MALFORMED_BODY))
    if any(one["type"] == "missing" and one["loc"] == _IDEMPOTENCY_KEY for one in found):
        return respond(request, Problem(types.IDEMPOTENCY_KEY_MISSING))
    problem = Problem(
        types.INVALID_REQUEST,
        extensions={
            "errors": [
                {"loc": [_shorten(part) for part in one["loc"]], "message": one["msg"]}
                for one in found[:_MOST_ERRORS]
            ]
        },
    )
    return respond(request, problem)


async def _on_source_unavailable(request: Request, error: SourceUnavailableError) -> Response:
    return respond(request, problem_of(error))


async def _on_unhandled(request: Request, error: Exception) -> Response:
    del error  # the server logs it; the caller gets the request id
    return respond(request, Problem(types.INTERNAL_ERROR))


_IDEMPOTENCY_KEY = ("header", "Idempotency-Key")


def _methods_at(request: Request) -> set[str]:
    """Return what is served at a path by all routes: the framework names those of the first."""
    matching = [
        route
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
    ]
    return {method for route in matching for method in route.methods or ()}


def _of_the_framework(error: HTTPException) -> Problem:
    """Give what Starlette and FastAPI raise by themselves a kind and a sentence."""
    status = HTTPStatus(error.status_code)
    kind = _OF_THE_FRAMEWORK.get(status) or ProblemType(
        slug=status.phrase.lower().replace(" ", "-"),
        status=status,
        meaning=status.description,
        example=f"{status.description or status.phrase}.",
    )
    return Problem(kind, headers=error.headers)


def _shorten(part: str | int) -> str | int:
    """Names of unknown fields come from the caller, at any length."""
    return part[:_LONGEST_NAME] if isinstance(part, str) else part
