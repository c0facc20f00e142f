"""Problem responses (RFC 9457) as exceptions. They never contain what the caller sent."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from fuze_contracts import order as contract
from fuze_contracts.payment import RefundRejected, RefundRejection
from fuze_contracts.returns import (
    ORDER_NOT_RETURNABLE,
    RETURN_NOT_FOUND,
    RETURN_STATUS_CONFLICT,
    ReturnRefusal,
    ReturnRefused,
)
from fuze_gateway.problems import registry
from fuze_gateway.problems.registry import ProblemType
from fuze_gateway.rate_limiter import LimitExceeded
from fuze_gateway.upstreams import UpstreamUnavailableError
from fuze_runtime import tracing

RETRY_AFTER_SECONDS = 2

_UPSTREAM_NAMES = {
    "temporal": "Temporal",
    "database": "PostgreSQL",
    "identity provider": "The identity provider",
}
_REJECTIONS = {
    contract.ALREADY_APPROVED: (registry.ALREADY_APPROVED, "is already approved."),
    contract.NOT_AWAITING_APPROVAL: (
        registry.NOT_AWAITING_APPROVAL,
        "is not waiting for approval.",
    ),
    contract.ALREADY_CANCELLED: (
        registry.ALREADY_CANCELLED,
        "is cancelled, or is being cancelled; see its status.",
    ),
    contract.TOO_LATE_TO_CANCEL: (
        registry.TOO_LATE_TO_CANCEL,
        "is dispatched or about to be; refund it: POST /orders/{order_id}/refunds.",
    ),
    contract.TOO_LATE_TO_CHANGE_ADDRESS: (
        registry.TOO_LATE_TO_CHANGE_ADDRESS,
        "can no longer change its address: it is being dispatched or has ended.",
    ),
    contract.ADDRESS_INVALID: (
        registry.ADDRESS_INVALID,
        "cannot ship to the address: {rule}.",
    ),
    contract.ADDRESS_CHANGE_LIMIT: (
        registry.ADDRESS_CHANGE_LIMIT,
        "has reached its limit of address changes.",
    ),
    contract.NOT_AWAITING_PAYMENT_METHOD: (
        registry.NOT_AWAITING_PAYMENT_METHOD,
        "is not waiting for a payment method.",
    ),
    contract.APPROVER_PLACED_ORDER: (
        registry.APPROVER_PLACED_ORDER,
        "has to be approved by another caller than the one that placed it.",
    ),
    contract.ADDRESS_NEEDS_APPROVAL: (
        registry.ADDRESS_NEEDS_APPROVAL,
        "is approved for its present address. Cancel it, and place another one.",
    ),
    contract.NOTHING_TO_RETRY: (registry.NOTHING_TO_RETRY, "has no failing step."),
}
"""The problem of each error type with which an order rejects a command."""


FieldError = tuple[Sequence[str | int], str]
"""The location of a field that is invalid, and the message about it."""


class Problem(HTTPException):
    """An error response. `detail` is for people; `extensions` are additional members."""

    def __init__(
        self,
        problem_type: ProblemType,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(problem_type.status, detail or problem_type.example, headers)
        self.problem_type = problem_type
        self.extensions = dict(extensions or {})

    def to_json(self) -> dict[str, Any]:
        """Return the members that do not depend on the request."""
        return {
            "type": self.problem_type.uri,
            "title": self.problem_type.title,
            "status": self.status_code,
            "detail": self.detail,
            **self.extensions,
        }


class ProblemResponse(Response):
    """A problem as ASCII JSON, which stays valid whatever characters a request had."""

    media_type = "application/problem+json"

    def render(self, content: Any) -> bytes:  # noqa: ANN401 - the signature of the base class
        """Return JSON with every non-ASCII character escaped."""
        return json.dumps(content, separators=(",", ":")).encode()


def to_response(request: Request, problem: Problem) -> ProblemResponse:
    """Return the response to a request that failed with a problem."""
    content = problem.to_json() | {"instance": quote(request.scope["path"])}
    if request_id := request.scope.get("state", {}).get("request_id"):
        content["request_id"] = request_id
    if trace_id := tracing.get_trace_id():
        content["trace_id"] = trace_id
    return ProblemResponse(content, problem.status_code, problem.headers)


def order_not_found(order_id: UUID) -> Problem:
    """Return the 404 of an order that neither Temporal nor PostgreSQL has."""
    return Problem(registry.ORDER_NOT_FOUND, f"Order {order_id} does not exist.")


def order_already_exists(order_id: UUID) -> Problem:
    """Return the 409 of an order id that was used with a different request."""
    detail = f"Order {order_id} was started with a different request."
    return Problem(registry.ORDER_ALREADY_EXISTS, detail)


def order_closed(order_id: UUID) -> Problem:
    """Return the 409 of a command to an order that has ended."""
    return Problem(registry.ORDER_CLOSED, f"Order {order_id} has ended; see its status.")


def workflow_missing(order_id: UUID) -> Problem:
    """Return the 409 of a command to an open order without a workflow."""
    detail = f"Order {order_id} has no workflow; recover it: POST /orders/{order_id}/recover."
    return Problem(registry.WORKFLOW_MISSING, detail)


def workflow_running(order_id: UUID) -> Problem:
    """Return the 409 of a recovery of an order whose workflow runs."""
    return Problem(registry.WORKFLOW_RUNNING, f"Order {order_id}: its workflow is running.")


def order_not_refundable(order_id: UUID) -> Problem:
    """Return the 409 of a refund before the order shipped, or without a charge."""
    detail = f"Order {order_id} is not shipped, or nothing was charged."
    return Problem(registry.ORDER_NOT_REFUNDABLE, detail)


def refund_rejected(order_id: UUID, rejected: RefundRejected) -> Problem:
    """Return the 409 of a refund for which nothing was reserved, with what can be refunded."""
    refundable = rejected.refundable
    if refundable is None:
        return order_not_refundable(order_id)
    if rejected.code == RefundRejection.AMOUNT_INVALID:
        reason = "These lines cost nothing."
    elif rejected.details:
        reason = f"Too much of a line is requested: {rejected.details}."
    else:
        reason = "More is requested than is left."
    return Problem(
        registry.REFUND_TOO_LARGE,
        f"{reason} At most {refundable} can be refunded.",
        extensions={
            "refundable_minor": refundable.amount_minor,
            "currency": refundable.currency,
        },
    )


def return_not_found(return_id: UUID) -> Problem:
    """Return the 404 of a return that the order does not have."""
    return Problem(registry.RETURN_NOT_FOUND, f"Return {return_id} does not exist.")


def order_not_returnable(order_id: UUID) -> Problem:
    """Return the 409 of a return of an order without a parcel that could come back."""
    detail = f"Order {order_id} has no parcel that could come back, or is refunded."
    return Problem(registry.ORDER_NOT_RETURNABLE, detail)


def return_refused(order_id: UUID, refused: ReturnRefused) -> Problem:
    """Return the 409 of a return for which nothing was stored, with what can be returned."""
    if refused.code is ReturnRefusal.ORDER_NOT_RETURNABLE:
        return order_not_returnable(order_id)
    if refused.line_id is None:
        detail = "The shipping costs are refunded already, or with another return."
    else:
        left = refused.returnable
        detail = (
            f"More units of line {refused.line_id} are requested than can be returned."
            f" At most {left} {'is' if left == 1 else 'are'} left."
        )
    return Problem(
        registry.RETURN_TOO_LARGE,
        detail,
        extensions={"line_id": refused.line_id, "returnable": refused.returnable},
    )


def return_change_rejected(
    order_id: UUID, return_id: UUID, error_type: str | None, status: str | None
) -> Problem:
    """Return the 404 or 409 of a change that the return rejected, by its type from contracts."""
    if error_type == RETURN_NOT_FOUND:
        return return_not_found(return_id)
    if error_type == ORDER_NOT_RETURNABLE:
        return order_not_returnable(order_id)
    if error_type == RETURN_STATUS_CONFLICT and status:
        return Problem(
            registry.RETURN_STATUS_CONFLICT,
            f"Return {return_id} is {status.replace('_', ' ')}.",
            extensions={"return_status": status},
        )
    return Problem(registry.REQUEST_REJECTED, f"Return {return_id} rejected the request.")


def command_rejected(order_id: UUID, error_type: str | None, rule: str | None = None) -> Problem:
    """Return the 409 or 422 of a command that the order rejected, by its type from contracts.

    `rule` is what the order said, and never has what the caller sent.
    """
    problem_type, predicate = _REJECTIONS.get(
        error_type or "", (registry.REQUEST_REJECTED, "rejected the request.")
    )
    text = predicate.format(order_id=order_id, rule=rule or "it is not valid")
    return Problem(problem_type, f"Order {order_id} {text}")


def unauthenticated(detail: str) -> Problem:
    """Return the 401 of missing or invalid credentials."""
    return Problem(registry.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": "Bearer"})


def insufficient_scope(scope: str) -> Problem:
    """Return the 403 of an authenticated caller without the required scope."""
    return Problem(
        registry.INSUFFICIENT_SCOPE,
        f"This operation requires the scope {scope}.",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        extensions={"required": [scope]},
    )


def rate_limit_exceeded(exceeded: LimitExceeded) -> Problem:
    """Return the 429 of a caller above its rate limit."""
    headers = {"Retry-After": str(exceeded.seconds)}
    detail = f"The rate limit is {exceeded.limit}."
    return Problem(registry.RATE_LIMIT_EXCEEDED, detail, headers=headers)


def too_many_failures(exceeded: LimitExceeded) -> Problem:
    """Return the 429 of an address with too many failed authentications."""
    headers = {"Retry-After": str(exceeded.seconds)}
    detail = "Authentication has failed too often from this address. Check the credentials."
    return Problem(registry.RATE_LIMIT_EXCEEDED, detail, headers=headers)


def at_stream_limit(maximum_of_caller: int | None) -> Problem:
    """Return the 429 of a caller with the maximum number of event streams, or the 503 of a gateway.

    `maximum_of_caller` is None where the limit of the gateway is reached.
    """
    if maximum_of_caller is None:
        return unavailable("This gateway is at its limit of event streams.")
    maximum = maximum_of_caller
    detail = (
        f"You have {maximum} open event streams, the maximum. Close one, or list the events of the"
        " order."
    )
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(registry.TOO_MANY_STREAMS, detail, headers=headers)


def unavailable(detail: str, **extensions: object) -> Problem:
    """Return the 503 of a failure behind the gateway, after which a retry may succeed."""
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(registry.UNAVAILABLE, detail, headers=headers, extensions=extensions)


def upstream_unavailable(error: UpstreamUnavailableError) -> Problem:
    """Return the 503 of an upstream that failed or timed out."""
    what = "did not respond in time" if error.timed_out else "is unavailable"
    return unavailable(f"{_UPSTREAM_NAMES[error.upstream]} {what}. The request is safe to repeat.")


def body_too_large(max_bytes: int) -> Problem:
    """Return the 413 of a request body above the size limit."""
    return Problem(registry.BODY_TOO_LARGE, f"The request body exceeds {max_bytes} bytes.")


def request_timeout() -> Problem:
    """Return the 408 of a request body that did not arrive in time."""
    return Problem(registry.REQUEST_TIMEOUT)


def invalid_field(location: Sequence[str | int], message: str) -> RequestValidationError:
    """Return the 422 of a field that is invalid for a reason that its type cannot check."""
    return invalid_fields([(location, message)])


def invalid_fields(found: Iterable[FieldError]) -> RequestValidationError:
    """Return the 422 of fields that are invalid for reasons that their types cannot check."""
    return RequestValidationError(
        [
            {"loc": tuple(location), "msg": message, "type": "value_error"}
            for location, message in found
        ]
    )
