"""How the API's own description tells of problems."""

from collections import defaultdict
from http import HTTPStatus
from typing import Any

from fuze_gateway import problem_types as types
from fuze_gateway.problem_types import ProblemType
from fuze_gateway.problems import Problem

_TEXT = {"type": "string"}
_PROBLEM_SCHEMA = {
    "title": "ProblemDetails",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri-reference",
            "description": "The kind of problem, for programs; docs/problems.md lists them.",
        },
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, for people."},
        "instance": {"type": "string", "format": "uri-reference"},
        "request_id": {"type": "string", "description": "Find the request's log lines by it."},
        "trace_id": {
            "type": "string",
            "description": "Find the request's trace by it, where there is one.",
        },
        "errors": {
            "type": "array",
            "description": "What is wrong with which field (invalid-request).",
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
            "description": "The scopes that it takes (insufficient-scope).",
            "items": _TEXT,
        },
    },
}
_HEADERS = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "What to send."},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": "Seconds to wait."},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "Seconds to wait."},
}

Responses = dict[int | str, dict[str, Any]]

OF_A_CALLER = (types.UNAUTHENTICATED, types.INSUFFICIENT_SCOPE, types.RATE_LIMIT_EXCEEDED)
"""What any request can meet where callers are asked who they are."""

OF_A_BODY = (
    types.MALFORMED_BODY,
    types.REQUEST_TIMEOUT,
    types.BODY_TOO_LARGE,
    types.UNSUPPORTED_MEDIA_TYPE,
    types.INVALID_REQUEST,
)
"""What any request with a body can meet."""


def problem_responses(*kinds: ProblemType) -> Responses:
    """Return the OpenAPI responses of a route that can answer with these problems."""
    by_status: dict[HTTPStatus, list[ProblemType]] = defaultdict(list)
    for kind in kinds:
        by_status[kind.status].append(kind)
    return {status: _response(status, found) for status, found in by_status.items()}


def describe_problems(description: dict[str, Any]) -> None:
    """Add to an OpenAPI document what `problem_responses` refers to."""
    components = description["components"]
    components["schemas"]["ProblemDetails"] = _PROBLEM_SCHEMA
    components["examples"] = {
        kind.slug: {"summary": kind.title, "value": _example(kind)}
        for kind in types.REGISTRY.values()
    }


def _response(status: HTTPStatus, kinds: list[ProblemType]) -> dict[str, Any]:
    examples = {kind.slug: {"$ref": f"#/components/examples/{kind.slug}"} for kind in kinds}
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    response: dict[str, Any] = {
        "description": status.phrase,
        "content": {"application/problem+json": {"schema": schema, "examples": examples}},
    }
    if headers := _HEADERS.get(status):
        response["headers"] = {
            name: {"description": text, "schema": _TEXT} for name, text in headers.items()
        }
    return response


def _example(kind: ProblemType) -> dict[str, Any]:
    content = Problem(kind).content() | {"instance": "/orders"}
    if kind is types.INVALID_REQUEST:
        content["errors"] = [{"loc": ["body", "address", "zip_code"], "message": "Field required"}]
    if kind is types.INSUFFICIENT_SCOPE:
        content["required"] = ["orders:approve"]
    return content | {"request_id": "8f1c4fb1c5a44b4da8a1f3a8f0b6d2e7"}


def problems_page() -> str:
    """Return the registry as a page of the docs, in Markdown."""
    lines = [
        "# Problems",
        "",
        "Every error is `application/problem+json` (RFC 9457). Decide by `type`: a kind is never",
        "renamed and never changes its status. `detail` is for people and may change. `request_id`",
        "and `trace_id` lead to the log lines and the trace.",
        "",
        "| type | status | meaning |",
        "| --- | --- | --- |",
    ]
    kinds = sorted(types.REGISTRY.values(), key=lambda one: (one.status, one.slug))
    rows = [f"| `{kind.uri}` | {kind.status.value} | {kind.meaning} |" for kind in kinds]
    return "\n".join([*lines, *rows, ""])
