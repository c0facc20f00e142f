"""How the API's own description tells of problems."""

from http import HTTPStatus
from typing import Any

_TEXT = {"type": "string"}
_PROBLEM = {
    "title": "ProblemDetails",
    "description": "RFC 9457 problem details.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": {"type": "string", "format": "uri-reference"},
        "trace_id": {"type": "string", "description": "Find the request's log lines by it."},
        "errors": {
            "type": "array",
            "description": "What is wrong with which field (422 only).",
            "items": {
                "type": "object",
                "required": ["loc", "message"],
                "properties": {
                    "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                    "message": _TEXT,
                },
            },
        },
    },
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}

OF_A_BODY = (400, 408, 413, 415, 422)
"""What any request with a body can meet."""


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route that can answer with these problems."""
    return {status: _response(HTTPStatus(status)) for status in statuses}


def _response(status: HTTPStatus) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": status.phrase,
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response["headers"] = _RETRY_AFTER
    return response
