"""The problems that the gateway answers with: RFC 9457, and never what the caller sent."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fuze_contracts import order as contract
from fuze_contracts.money import Money
from fuze_gateway import problem_types as types
from fuze_gateway.problem_types import ProblemType

RETRY_AFTER_SECONDS = 2

_REFUSALS = {
    contract.ALREADY_APPROVED: (types.ALREADY_APPROVED, "is approved already."),
    contract.NOT_AWAITING_APPROVAL: (
        types.NOT_AWAITING_APPROVAL,
        "does not wait for an approval.",
    ),
    contract.ALREADY_CANCELLED: (types.ALREADY_CANCELLED, "is being cancelled already."),
    contract.TOO_LATE_TO_CANCEL: (
        types.TOO_LATE_TO_CANCEL,
        "cannot be cancelled any more: its parcel is being handed over, or it has ended.",
    ),
    contract.TOO_LATE_TO_CHANGE_ADDRESS: (
        types.TOO_LATE_TO_CHANGE_ADDRESS,
        "cannot go elsewhere any more: its parcel is being handed over, or it is stopped.",
    ),
    contract.ADDRESS_INVALID: (
        types.ADDRESS_INVALID,
        "refuses the address; its events say why.",
    ),
    contract.ADDRESS_CHANGE_LIMIT: (
        types.ADDRESS_CHANGE_LIMIT,
        "has changed its address too often.",
    ),
    contract.NOT_AWAITING_PAYMENT_METHOD: (
        types.NOT_AWAITING_PAYMENT_METHOD,
        "does not wait for a payment method.",
    ),
    contract.NOTHING_TO_RETRY: (
        types.NOTHING_TO_RETRY,
        "has no step that needs attention.",
    ),
}
"""Why an order refuses: the kind for programs, the end of a sentence for people."""


class Problem(HTTPException):
    """An answer that is an error. `detail` is for people; `extensions` are more fields of it."""

    def __init__(
        self,
        kind: ProblemType,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(kind.status, detail or kind.example, headers)
        self.kind = kind
        self.extensions = dict(extensions or {})

    def content(self) -> dict[str, Any]:
        """Return the problem as JSON has it, but for the request that met it."""
        return {
            "type": self.kind.uri,
            "title": self.kind.title,
            "status": self.status_code,
            "detail": self.detail,
            **self.extensions,
        }


class ProblemResponse(Response):
    """A problem as JSON, in ASCII: it stays valid whatever the names in a request were."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - the base class says so
        """Write JSON that no lone surrogate can break."""
        return json.dumps(content, separators=(",", ":")).encode()


def order_not_found(order_id: UUID) -> Problem:
    """404: neither Temporal nor PostgreSQL knows the order."""
    return Problem(types.ORDER_NOT_FOUND, f"There is no order {order_id}.")


def order_already_exists(order_id: UUID) -> Problem:
    """409: the id was used for another request."""
    detail = f"Order {order_id} was started with another request."
    return Problem(types.ORDER_ALREADY_EXISTS, detail)


def order_already_ended(order_id: UUID) -> Problem:
    """409: nothing can be told to an order that has ended."""
    detail = f"Order {order_id} has ended; its status says how."
    return Problem(types.ORDER_CLOSED, detail)


def idempotency_key_reused() -> Problem:
    """422: the idempotency key came with another request before."""
    return Problem(types.IDEMPOTENCY_KEY_REUSED)


def not_refundable(order_id: UUID) -> Problem:
    """409: the order has not shipped, or nothing was charged for it."""
    detail = f"Order {order_id} has not shipped, or nothing was charged for it."
    return Problem(types.ORDER_NOT_REFUNDABLE, detail)


def refused(order_id: UUID, why: str | None) -> Problem:
    """409 or 422: the order said no, for a reason of its own; `why` is a type from contracts."""
    kind, sentence = _REFUSALS.get(why or "", (types.REQUEST_REJECTED, "refuses this request."))
    return Problem(kind, f"Order {order_id} {sentence}")


def no_webhooks() -> Problem:
    """404: this gateway shares no secret with a provider."""
    return Problem(types.WEBHOOKS_NOT_CONFIGURED)


def bad_signature() -> Problem:
    """401: not the provider's, or too old."""
    return Problem(types.INVALID_SIGNATURE)


def not_authenticated(why: str) -> Problem:
    """401: we do not know who calls."""
    return Problem(types.UNAUTHENTICATED, why, headers={"WWW-Authenticate": "Bearer"})


def insufficient_scope(required: Sequence[str]) -> Problem:
    """403: we know who calls, and they may not."""
    scopes = " ".join(required)
    return Problem(
        types.INSUFFICIENT_SCOPE,
        f"This takes the scope {scopes}.",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scopes}"'},
        extensions={"required": list(required)},
    )


def called_too_often(limit: str, seconds: int) -> Problem:
    """429: the caller's calls are used up."""
    headers = {"Retry-After": str(max(seconds, 1))}
    return Problem(types.RATE_LIMIT_EXCEEDED, f"At most {limit}.", headers=headers)


def invalid_cursor() -> Problem:
    """400: a cursor that is not ours, or of another list."""
    return Problem(types.INVALID_CURSOR)


def refund_too_large(left: Money) -> Problem:
    """409: more than is left to give back."""
    return Problem(types.REFUND_TOO_LARGE, f"At most {left} can still be given back.")


def unavailable(detail: str, **extensions: object) -> Problem:
    """503: a fault behind the gateway, after which the same request is worth repeating."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(types.UNAVAILABLE, detail, headers=headers, extensions=extensions)


def body_too_large(limit: int) -> Problem:
    """413: the body passes the limit, announced or not."""
    return Problem(types.BODY_TOO_LARGE, f"A request body may have at most {limit} bytes.")


def body_too_slow() -> Problem:
    """408: the body took too long to arrive."""
    return Problem(types.REQUEST_TIMEOUT)


def not_json() -> Problem:
    """415: a body of another kind than JSON."""
    return Problem(types.UNSUPPORTED_MEDIA_TYPE)


def invalid_field(location: Sequence[str | int], message: str) -> RequestValidationError:
    """422: a field that is wrong for a reason its own type cannot see."""
    return RequestValidationError([{"loc": tuple(location), "msg": message, "type": "value_error"}])


def respond(request: Request, problem: Problem) -> ProblemResponse:
    """Render a problem for the request that met it."""
    content = problem.content() | {"instance": quote(request.scope["path"])}
    if request_id := request.scope.get("state", {}).get("request_id"):
        content["request_id"] = request_id
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        content["trace_id"] = trace.format_trace_id(span.trace_id)
    return ProblemResponse(content, problem.status_code, problem.headers)
