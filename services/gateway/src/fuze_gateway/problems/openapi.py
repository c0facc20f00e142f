"""Problem responses in the OpenAPI document."""

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from fuze_gateway.problems import registry
from fuze_gateway.problems.errors import Problem
from fuze_gateway.problems.registry import REGISTRY, ProblemType

_EXAMPLES = "#/components/examples/"
_TEXT = {"type": "string"}
_PROBLEM_SCHEMA = {
    "title": "ProblemDetails",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {
            "type": "string",
            "enum": sorted(problem_type.uri for problem_type in REGISTRY.values()),
            "description": "The problem type; clients branch on it."
            " See docs/reference/problems.md.",
        },
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, for people."},
        "instance": {"type": "string", "format": "uri-reference"},
        "request_id": {"type": "string", "description": "Identifies the request's log lines."},
        "trace_id": {
            "type": "string",
            "description": "Identifies the request's trace, if it has one.",
        },
        "errors": {
            "type": "array",
            "description": "The invalid fields (invalid-request).",
            "items": {
                "type": "object",
                "required": ["loc", "message"],
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "message": _TEXT,
                },
            },
        },
        "required": {
            "type": "array",
            "description": "The scopes that the operation requires (insufficient-scope).",
            "items": _TEXT,
        },
    },
}
# RFC 9110's, which Python has from 3.13 on.
_REASON_PHRASES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Content Too Large",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Unprocessable Content",
}

_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "The authentication scheme to use."},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": "Seconds to wait before a retry."},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "Seconds to wait before a retry."},
}

Responses = dict[int | str, dict[str, Any]]

AUTH_PROBLEMS = (
    registry.UNAUTHENTICATED,
    registry.INSUFFICIENT_SCOPE,
    registry.RATE_LIMIT_EXCEEDED,
)
"""The problems of every operation that requires authentication."""

BODY_PROBLEMS = (
    registry.MALFORMED_REQUEST,
    registry.MALFORMED_BODY,
    registry.REQUEST_TIMEOUT,
    registry.BODY_TOO_LARGE,
    registry.UNSUPPORTED_MEDIA_TYPE,
    registry.INVALID_REQUEST,
)
"""The problems of every operation with a request body."""


def problem_responses(*problem_types: ProblemType) -> Responses:
    """Return the OpenAPI responses of an operation that can fail with these problems."""
    by_status: dict[HTTPStatus, list[ProblemType]] = defaultdict(list)
    for problem_type in problem_types:
        by_status[problem_type.status].append(problem_type)
    return {status: _response(status, found) for status, found in by_status.items()}


def add_problem_components(document: dict[str, Any]) -> None:
    """Add to an OpenAPI document the components that `problem_responses` refers to."""
    components = document["components"]
    components["schemas"]["ProblemDetails"] = _PROBLEM_SCHEMA
    used = set(_get_example_names(document["paths"]))
    components["examples"] = {
        problem_type.slug: {"summary": problem_type.title, "value": _example(problem_type)}
        for problem_type in REGISTRY.values()
        if problem_type.slug in used
    }


def _get_example_names(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if str(reference := part.get("$ref")).startswith(_EXAMPLES):
            yield str(reference).removeprefix(_EXAMPLES)
        part = list(part.values())
    if isinstance(part, list):
        for child in part:
            yield from _get_example_names(child)


def _response(status: HTTPStatus, problem_types: list[ProblemType]) -> dict[str, Any]:
    examples = {
        problem_type.slug: {"$ref": f"{_EXAMPLES}{problem_type.slug}"}
        for problem_type in problem_types
    }
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    response: dict[str, Any] = {
        "description": _REASON_PHRASES.get(status, status.phrase),
        "content": {"application/problem+json": {"schema": schema, "examples": examples}},
    }
    if headers := _HEADERS.get(status):
        response["headers"] = {
            name: {"description": text, "schema": _TEXT} for name, text in headers.items()
        }
    return response


def _example(problem_type: ProblemType) -> dict[str, Any]:
    content = Problem(problem_type).to_json() | {"instance": "/orders"}
    if problem_type is registry.INVALID_REQUEST:
        content["errors"] = [
            {
                "loc": ["body", "address", "postal_code"],
                "message": "is required in DE, such as 10115",
            }
        ]
    if problem_type is registry.INSUFFICIENT_SCOPE:
        content["required"] = ["orders:approve"]
    return content | {"request_id": "8f1c4fb1c5a44b4da8a1f3a8f0b6d2e7"}
