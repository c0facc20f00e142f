"""Every error that a caller sees: RFC 9457 problem details, and never what the caller sent."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fuze_contracts.money import Money
from fuze_contracts.order import (
    ADDRESS_INVALID,
    ALREADY_APPROVED,
    ALREADY_CANCELLED,
    NOT_AWAITING_APPROVAL,
    NOT_AWAITING_PAYMENT_METHOD,
    NOTHING_TO_RETRY,
    TOO_LATE_TO_CANCEL,
    TOO_LATE_TO_CHANGE_ADDRESS,
    TOO_MANY_ADDRESSES,
)
from fuze_gateway.availability import SourceUnavailableError

RETRY_AFTER_SECONDS = 2

_REFUSALS = {
    ALREADY_APPROVED: ("already-approved", "is approved already."),
    NOT_AWAITING_APPROVAL: ("not-awaiting-approval", "does not wait for an approval."),
    ALREADY_CANCELLED: ("already-cancelled", "is being cancelled already."),
    TOO_LATE_TO_CANCEL: (
        "too-late-to-cancel",
        "cannot be cancelled any more: its parcel is being handed over, or it has ended.",
    ),
    TOO_LATE_TO_CHANGE_ADDRESS: (
        "too-late-to-change-address",
        "cannot go elsewhere any more: its parcel is being handed over, or it is stopped.",
    ),
    ADDRESS_INVALID: ("address-invalid", "refuses the address; its events say why."),
    TOO_MANY_ADDRESSES: ("too-many-addresses", "has changed its address too often."),
    NOT_AWAITING_PAYMENT_METHOD: (
        "not-awaiting-payment-method",
        "does not wait for a payment method.",
    ),
    NOTHING_TO_RETRY: ("nothing-to-retry", "has no step that needs attention."),
}
"""Why an order refuses: a slug for programs, the end of a sentence for people."""

_MEDIA_TYPE = "application/problem+json"
_MOST_ERRORS = 20
_LONGEST_NAME = 64


class Problem(HTTPException):
    """An answer that is an error. `slug` names its kind for programs, `detail` is for people."""

    def __init__(
        self,
        status: HTTPStatus,
        slug: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.slug = slug
        self.title = slug.replace("-", " ").capitalize()
        self.extensions = dict(extensions or {})


class ProblemResponse(Response):
    """A problem as JSON, in ASCII: it stays valid whatever the names in a request were."""

    media_type = _MEDIA_TYPE

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - the base class says so
        """Write JSON that no lone surrogate can break."""
        return json.dumps(content, separators=(",", ":")).encode()


def order_not_found(order_id: UUID) -> Problem:
    """404: neither Temporal nor PostgreSQL knows the order."""
    return Problem(
        HTTPStatus.NOT_FOUND,
        "order-not-found",
        f"There is no order {order_id}.",
    )


def order_already_exists(order_id: UUID) -> Problem:
    """409: the id was used for another request."""
    return Problem(
        HTTPStatus.CONFLICT,
        "order-already-exists",
        f"Order {order_id} was started with another request.",
    )


def order_already_ended(order_id: UUID) -> Problem:
    """409: nothing can be told to an order that has ended."""
    return Problem(
        HTTPStatus.CONFLICT,
        "order-already-ended",
        f"Order {order_id} has ended; its status says how.",
    )


def key_used_for_another_refund() -> Problem:
    """422: the idempotency key came with another refund before."""
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "The Idempotency-Key was used for another refund of this order.",
    )


def not_refundable(order_id: UUID) -> Problem:
    """409: the order has not shipped, or nothing was charged for it."""
    return Problem(
        HTTPStatus.CONFLICT,
        "order-not-refundable",
        f"Order {order_id} has not shipped, or nothing was charged for it.",
    )


def refused(order_id: UUID, why: str | None) -> Problem:
    """409 or 422: the order said no, for a reason of its own."""
    slug, sentence = _REFUSALS.get(why or "", ("refused", "refuses this request."))
    status = HTTPStatus.UNPROCESSABLE_ENTITY if why == ADDRESS_INVALID else HTTPStatus.CONFLICT
    return Problem(status, slug, f"Order {order_id} {sentence}")


def no_webhooks() -> Problem:
    """404: this gateway shares no secret with a provider."""
    return Problem(HTTPStatus.NOT_FOUND, "webhooks-not-configured", "Webhooks are not taken here.")


def bad_signature() -> Problem:
    """401: not the provider's, or too old."""
    return Problem(
        HTTPStatus.UNAUTHORIZED,
        "bad-signature",
        "The signature does not match the body, or is more than five minutes off.",
    )


def refund_too_large(left: Money) -> Problem:
    """409: more than is left to give back."""
    return Problem(
        HTTPStatus.CONFLICT, "refund-too-large", f"At most {left} can still be given back."
    )


def unavailable(detail: str, **extensions: object) -> Problem:
    """503: a fault behind the gateway, after which the same request is worth repeating."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        detail,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        extensions=extensions,
    )


def body_too_large(limit: int) -> Problem:
    """413: the body passes the limit, announced or not."""
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body-too-large",
        f"A request body may have at most {limit} bytes.",
    )


def body_too_slow() -> Problem:
    """408: the body took too long to arrive."""
    return Problem(
        HTTPStatus.REQUEST_TIMEOUT, "body-too-slow", "The request body took too long to arrive."
    )


def not_json() -> Problem:
    """415: a body of another kind than JSON."""
    return Problem(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "Send the body as application/json.",
    )


def invalid_field(location: Sequence[str | int], message: str) -> RequestValidationError:
    """422: a field that is wrong for a reason its own type cannot see."""
    return RequestValidationError([{"loc": tuple(location), "msg": message, "type": "value_error"}])


def respond(request: Request, problem: Problem) -> ProblemResponse:
    """Render a problem for the request that met it."""
    content = {
        "type": f"/problems/{problem.slug}",
        "title": problem.title,
        "status": problem.status_code,
        "detail": problem.detail,
        "instance": quote(request.scope["path"]),
        **problem.extensions,
    }
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        content["trace_id"] = trace.format_trace_id(span.trace_id)
    return ProblemResponse(content, problem.status_code, problem.headers)


def install(app: FastAPI) -> None:
    """Answer every error of the app as a problem."""
    app.exception_handler(HTTPException)(_on_http_exception)
    app.exception_handler(RequestValidationError)(_on_invalid_request)
    app.exception_handler(SourceUnavailableError)(_on_source_unavailable)
    app.exception_handler(Exception)(_on_unhandled)


async def _on_http_exception(request: Request, error: HTTPException) -> Response:
    if isinstance(error, Problem):
        return respond(request, error)
    return respond(request, _of_the_framework(error))


async def _on_invalid_request(request: Request, error: RequestValidationError) -> Response:
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return respond(request, _malformed_body())
    problem = Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid-request",
        "The request does not fit its schema.",
        extensions={
            "errors": [
                {"loc": [_shorten(part) for part in one["loc"]], "message": one["msg"]}
                for one in found[:_MOST_ERRORS]
            ]
        },
    )
    return respond(request, problem)


async def _on_source_unavailable(request: Request, error: SourceUnavailableError) -> Response:
    name = {"temporal": "Temporal", "database": "PostgreSQL"}[error.source]
    how = "did not answer in time" if error.timed_out else "cannot be reached"
    return respond(request, unavailable(f"{name} {how}; repeating the request is safe."))


async def _on_unhandled(request: Request, error: Exception) -> Response:
    del error  # the server logs it; the caller gets the trace id
    problem = Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "The gateway failed; it is logged."
    )
    return respond(request, problem)


def _of_the_framework(error: HTTPException) -> Problem:
    """Give what Starlette and FastAPI raise by themselves a kind and a sentence."""
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST:
        return _malformed_body()
    slug = status.phrase.lower().replace(" ", "-")
    return Problem(status, slug, f"{status.description or status.phrase}.", headers=error.headers)


def _malformed_body() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST,
        "malformed-body",
        "The request body is not JSON that can be read.",
    )


def _shorten(part: str | int) -> str | int:
    """Names of unknown fields come from the caller, at any length."""
    return part[:_LONGEST_NAME] if isinstance(part, str) else part
