"""The registry of problem types: every `type` that an error response can have.

A type is never renamed and never changes its status: clients branch on it.
"""

from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, kw_only=True)
class ProblemType:
    """A problem type, `/problems/<slug>`: its meaning for the docs, and an example of a detail."""

    slug: str
    status: HTTPStatus
    meaning: str
    example: str

    @property
    def title(self) -> str:
        """Return the slug as a title."""
        return self.slug.replace("-", " ").capitalize()

    @property
    def uri(self) -> str:
        """Return the value of `type`."""
        return f"/problems/{self.slug}"


REGISTRY: dict[str, ProblemType] = {}

_ORDER = "Order 123e4567-e89b-12d3-a456-426614174000"
_RETURN = "Return 0d6b0b5e-4c4e-5e0a-9c77-0d3b6d1f8a11"


def _register(slug: str, status: HTTPStatus, meaning: str, example: str) -> ProblemType:
    problem_type = ProblemType(slug=slug, status=status, meaning=meaning, example=example)
    REGISTRY[slug] = problem_type
    return problem_type


MALFORMED_REQUEST = _register(
    "malformed-request",
    HTTPStatus.BAD_REQUEST,
    "The request is not valid HTTP/1.1, or its `Content-Length` is not a number of bytes.",
    "The request is not valid HTTP/1.1.",
)
MALFORMED_BODY = _register(
    "malformed-body",
    HTTPStatus.BAD_REQUEST,
    "The body is not valid JSON: truncated, not UTF-8, nested too deeply, with a duplicate key or a"
    " number that JSON does not have.",
    "The request body is not valid JSON.",
)
IDEMPOTENCY_KEY_MISSING = _register(
    "idempotency-key-missing",
    HTTPStatus.BAD_REQUEST,
    "The request requires an `Idempotency-Key`, which makes it safe to repeat. Choose a new key for"
    " each operation, and send the same key when you repeat the request.",
    "Send an Idempotency-Key header.",
)
INVALID_CURSOR = _register(
    "invalid-cursor",
    HTTPStatus.BAD_REQUEST,
    "The cursor is not valid for this list and its filters. Start again at the first page.",
    "The cursor is not valid for these filters.",
)
UNAUTHENTICATED = _register(
    "unauthenticated",
    HTTPStatus.UNAUTHORIZED,
    "Credentials are missing, invalid, expired or revoked. Send `Authorization: Bearer` with an API"
    " key or an access token of the identity provider.",
    "Send an API key or an access token as Authorization: Bearer.",
)
INVALID_SIGNATURE = _register(
    "invalid-signature",
    HTTPStatus.UNAUTHORIZED,
    "The webhook's signature does not match its body, or its timestamp is too old.",
    "The signature does not match the body, or its timestamp is more than five minutes off.",
)
INSUFFICIENT_SCOPE = _register(
    "insufficient-scope",
    HTTPStatus.FORBIDDEN,
    "The caller is authenticated but lacks a scope. `required` lists the scopes of the operation.",
    "This operation requires the scope orders:approve.",
)
APPROVER_PLACED_ORDER = _register(
    "approver-placed-order",
    HTTPStatus.FORBIDDEN,
    "With `FUZE_FOUR_EYES`, another caller than the one that placed the order has to approve it.",
    f"{_ORDER} has to be approved by another caller than the one that placed it.",
)
NOT_FOUND = _register(
    "not-found",
    HTTPStatus.NOT_FOUND,
    "No resource exists at this path.",
    "No resource exists at this path.",
)
ORDER_NOT_FOUND = _register(
    "order-not-found",
    HTTPStatus.NOT_FOUND,
    "The order does not exist, neither in Temporal nor in PostgreSQL.",
    f"{_ORDER} does not exist.",
)
RETURN_NOT_FOUND = _register(
    "return-not-found",
    HTTPStatus.NOT_FOUND,
    "The order has no return with this id.",
    f"{_RETURN} does not exist.",
)
API_KEY_NOT_FOUND = _register(
    "api-key-not-found",
    HTTPStatus.NOT_FOUND,
    "No active API key has this id: it never existed, expired, or was revoked.",
    "No active API key has the id 0123456789ab.",
)
WEBHOOK_ENDPOINT_NOT_FOUND = _register(
    "webhook-endpoint-not-found",
    HTTPStatus.NOT_FOUND,
    "No endpoint of outgoing webhooks has this id: it never existed, or was deleted.",
    "No webhook endpoint has the id 7c9e6679-7425-40de-944b-e07fc1f90ae7.",
)
WEBHOOK_DELIVERY_NOT_FOUND = _register(
    "webhook-delivery-not-found",
    HTTPStatus.NOT_FOUND,
    "The endpoint has no delivery of this message, or its record was deleted after"
    " `FUZE_WEBHOOK_DELIVERY_RETENTION`.",
    "The endpoint has no delivery of evt_123e4567e89b12d3a456426614174000_3.",
)
WEBHOOKS_NOT_CONFIGURED = _register(
    "webhooks-not-configured",
    HTTPStatus.NOT_FOUND,
    "The gateway has no signing secret for this sender, so it accepts no webhooks from it.",
    "Webhooks of this sender are not configured.",
)
METHOD_NOT_ALLOWED = _register(
    "method-not-allowed",
    HTTPStatus.METHOD_NOT_ALLOWED,
    "The path exists but does not support this method; `Allow` lists the methods that it supports.",
    "This resource does not support the method.",
)
REQUEST_TIMEOUT = _register(
    "request-timeout",
    HTTPStatus.REQUEST_TIMEOUT,
    "The request body did not arrive in time.",
    "The request body did not arrive in time.",
)
ORDER_ALREADY_EXISTS = _register(
    "order-already-exists",
    HTTPStatus.CONFLICT,
    "The id was used with a different request. Repeating the original request returns its order.",
    f"{_ORDER} was started with a different request.",
)
ORDER_CLOSED = _register(
    "order-closed",
    HTTPStatus.CONFLICT,
    "The order has ended and accepts no more commands. Its status and events say how it ended.",
    f"{_ORDER} has ended; see its status.",
)
WORKFLOW_MISSING = _register(
    "workflow-missing",
    HTTPStatus.CONFLICT,
    "The order is open, but its workflow was terminated, deleted or lost. An operator recovers it:"
    " `POST /orders/{order_id}/recover`. Starting the order again with the same request does, too.",
    f"{_ORDER} has no workflow; recover it.",
)
WORKFLOW_RUNNING = _register(
    "workflow-running",
    HTTPStatus.CONFLICT,
    "The order's workflow is running, so there is nothing to recover.",
    f"{_ORDER}: its workflow is running.",
)
ALREADY_APPROVED = _register(
    "already-approved",
    HTTPStatus.CONFLICT,
    "The order was approved before.",
    f"{_ORDER} is already approved.",
)
NOT_AWAITING_APPROVAL = _register(
    "not-awaiting-approval",
    HTTPStatus.CONFLICT,
    "The order is not waiting for approval, or no longer.",
    f"{_ORDER} is not waiting for approval.",
)
ALREADY_CANCELLED = _register(
    "already-cancelled",
    HTTPStatus.CONFLICT,
    "The order was cancelled before; its compensations are running or complete.",
    f"{_ORDER} is cancelled, or is being cancelled; see its status.",
)
TOO_LATE_TO_CANCEL = _register(
    "too-late-to-cancel",
    HTTPStatus.CONFLICT,
    "The shipment is being dispatched, or was. Refund the shipped order instead: `POST"
    " /orders/{order_id}/refunds`.",
    f"{_ORDER} is dispatched or about to be; refund it: POST"
    " /orders/123e4567-e89b-12d3-a456-426614174000/refunds.",
)
TOO_LATE_TO_CHANGE_ADDRESS = _register(
    "too-late-to-change-address",
    HTTPStatus.CONFLICT,
    "The shipment is being dispatched, or the order has ended or is being cancelled.",
    f"{_ORDER} can no longer change its address: it is being dispatched or has ended.",
)
ADDRESS_NEEDS_APPROVAL = _register(
    "address-needs-approval",
    HTTPStatus.CONFLICT,
    "With `FUZE_FOUR_EYES`, the address of an approved order cannot change: its approval was for"
    " the address before. Cancel the order, and place another one.",
    f"{_ORDER} is approved for its present address. Cancel it, and place another one.",
)
ADDRESS_CHANGE_LIMIT = _register(
    "address-change-limit",
    HTTPStatus.CONFLICT,
    "The order has reached its limit of address changes.",
    f"{_ORDER} has reached its limit of address changes.",
)
NOT_AWAITING_PAYMENT_METHOD = _register(
    "not-awaiting-payment-method",
    HTTPStatus.CONFLICT,
    "The order has no declined payment, or another payment method is being charged.",
    f"{_ORDER} is not waiting for a payment method.",
)
NOTHING_TO_RETRY = _register(
    "nothing-to-retry",
    HTTPStatus.CONFLICT,
    "No step of the order is failing.",
    f"{_ORDER} has no failing step.",
)
REQUEST_REJECTED = _register(
    "request-rejected",
    HTTPStatus.CONFLICT,
    "The order rejected the request for a reason that this version of the gateway does not know.",
    f"{_ORDER} rejected the request.",
)
ORDER_NOT_REFUNDABLE = _register(
    "order-not-refundable",
    HTTPStatus.CONFLICT,
    "The order is not shipped, or nothing was charged. Before it ships, cancel it instead.",
    f"{_ORDER} is not shipped, or nothing was charged.",
)
REFUND_TOO_LARGE = _register(
    "refund-too-large",
    HTTPStatus.CONFLICT,
    "More is requested than earlier refunds, open ones included, have left of the payment or of a"
    " line. `refundable_minor` is what is left of the payment, in minor units of `currency`. The"
    " decision is final for the `Idempotency-Key`.",
    "More is requested than is left. At most 39.98 USD can be refunded.",
)
ORDER_NOT_RETURNABLE = _register(
    "order-not-returnable",
    HTTPStatus.CONFLICT,
    "The order has no parcel that the customer could send back: it is not shipped, or the carrier"
    " has returned its parcel. Or everything is refunded. Before it ships, cancel it instead.",
    f"{_ORDER} has no parcel that could come back, or is refunded.",
)
RETURN_TOO_LARGE = _register(
    "return-too-large",
    HTTPStatus.CONFLICT,
    "More units of a line are requested than were shipped, and are neither returned nor refunded."
    " `returnable` is how many are left of the line `line_id`. It is null where the shipping costs"
    " are refunded already, or with another return.",
    "More units of a line are requested than can be returned. At most 1 is left.",
)
RETURN_STATUS_CONFLICT = _register(
    "return-status-conflict",
    HTTPStatus.CONFLICT,
    "The action is not possible in the status of the return, `return_status`. A return is"
    " requested, approved or rejected, received, and refunded.",
    f"{_RETURN} is approved.",
)
TOO_MANY_API_KEYS = _register(
    "too-many-api-keys",
    HTTPStatus.CONFLICT,
    "A client can have two active keys: one in use, and its replacement. Revoke one first.",
    "The client has two active keys; revoke one first.",
)
TOO_MANY_WEBHOOK_ENDPOINTS = _register(
    "too-many-webhook-endpoints",
    HTTPStatus.CONFLICT,
    "There can be 100 endpoints of outgoing webhooks. Delete one first.",
    "There are 100 webhook endpoints; delete one first.",
)
WEBHOOK_ENDPOINT_DISABLED = _register(
    "webhook-endpoint-disabled",
    HTTPStatus.CONFLICT,
    "Nothing is sent to an endpoint that is disabled. Enable it first.",
    "The webhook endpoint is disabled; enable it first.",
)
BODY_TOO_LARGE = _register(
    "body-too-large",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "The request body exceeds the size limit.",
    "The request body exceeds 65536 bytes.",
)
UNSUPPORTED_MEDIA_TYPE = _register(
    "unsupported-media-type",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "The request body is not declared as JSON.",
    "Send the body with Content-Type: application/json.",
)
INVALID_REQUEST = _register(
    "invalid-request",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "The request does not match its schema; `errors` lists the invalid fields.",
    "The request does not match its schema.",
)
IDEMPOTENCY_KEY_REUSED = _register(
    "idempotency-key-reused",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "The key was used with a different request. Choose a new key for each new request.",
    "The Idempotency-Key was used with a different request.",
)
ADDRESS_INVALID = _register(
    "address-invalid",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "The order cannot ship to the address, which is complete otherwise: see `FUZE_SHIPS_TO`.",
    f"{_ORDER} cannot ship to the address: orders are not shipped to FR;"
    " give an address in AT, DE.",
)
HEADERS_TOO_LARGE = _register(
    "headers-too-large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "The URL and the headers of the request exceed the size limit (`FUZE_MAX_HEADER_BYTES`).",
    "The URL and the headers of the request are too large. Send fewer or shorter ones.",
)
RATE_LIMIT_EXCEEDED = _register(
    "rate-limit-exceeded",
    HTTPStatus.TOO_MANY_REQUESTS,
    "The caller exceeded its rate limit, or authentication failed too often from its address. Retry"
    " after `Retry-After` seconds.",
    "The rate limit is 100 per 1 second.",
)
TOO_MANY_STREAMS = _register(
    "too-many-streams",
    HTTPStatus.TOO_MANY_REQUESTS,
    "The caller has the maximum number of open event streams. Close one, or read the order's events"
    " without a stream.",
    "You have 100 open event streams, the maximum. Close one, or list the events of the order.",
)
INTERNAL_ERROR = _register(
    "internal-error",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "An unexpected error in the gateway. Its log has the cause, by `request_id`.",
    "An unexpected error occurred; it was logged.",
)
UNAVAILABLE = _register(
    "unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Temporal, PostgreSQL or the identity provider is unavailable. The request is safe to repeat"
    " after `Retry-After` seconds.",
    "Temporal is unavailable. The request is safe to repeat.",
)
