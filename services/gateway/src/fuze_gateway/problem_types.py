"""Every kind of problem that a caller can meet: the registry behind the docs and the answers.

A kind is never renamed and never changes its status; callers decide by it.
"""

from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, kw_only=True)
class ProblemType:
    """A kind of problem: `/problems/<slug>`. `meaning` is for the docs, `example` for a detail."""

    slug: str
    status: HTTPStatus
    meaning: str
    example: str

    @property
    def title(self) -> str:
        """The slug as people write it."""
        return self.slug.replace("-", " ").capitalize()

    @property
    def uri(self) -> str:
        """What `type` says."""
        return f"/problems/{self.slug}"


REGISTRY: dict[str, ProblemType] = {}

_ORDER = "Order 123e4567-e89b-12d3-a456-426614174000"


def _kind(slug: str, status: HTTPStatus, meaning: str, example: str) -> ProblemType:
    kind = ProblemType(slug=slug, status=status, meaning=meaning, example=example)
    REGISTRY[slug] = kind
    return kind


MALFORMED_BODY = _kind(
    "malformed-body",
    HTTPStatus.BAD_REQUEST,
    "The body is not JSON: cut short, not UTF-8, too deep, or with a number that JSON lacks.",
    "The request body is not JSON that can be read.",
)
IDEMPOTENCY_KEY_MISSING = _kind(
    "idempotency-key-missing",
    HTTPStatus.BAD_REQUEST,
    "The request needs an `Idempotency-Key`, so that repeating it is safe. Choose one for each"
    " thing that you want done, and send the same one again when you repeat it.",
    "Send an Idempotency-Key header.",
)
INVALID_CURSOR = _kind(
    "invalid-cursor",
    HTTPStatus.BAD_REQUEST,
    "The cursor is not one of ours, or belongs to a list with other filters. Start at the first"
    " page.",
    "The cursor does not belong to this list.",
)
UNAUTHENTICATED = _kind(
    "unauthenticated",
    HTTPStatus.UNAUTHORIZED,
    "No credentials came, or none that are good. Send `Authorization: Bearer` with an API key or a"
    " token of the identity provider.",
    "Send an API key or a token as Authorization: Bearer.",
)
INVALID_SIGNATURE = _kind(
    "invalid-signature",
    HTTPStatus.UNAUTHORIZED,
    "A webhook's signature does not match its body, or is too old.",
    "The signature does not match the body, or is more than five minutes off.",
)
INSUFFICIENT_SCOPE = _kind(
    "insufficient-scope",
    HTTPStatus.FORBIDDEN,
    "The caller is known and may not do this. `required` says which scope is missing.",
    "This takes the scope orders:approve.",
)
NOT_FOUND = _kind(
    "not-found",
    HTTPStatus.NOT_FOUND,
    "There is nothing at this path.",
    "Nothing matches the given URI.",
)
ORDER_NOT_FOUND = _kind(
    "order-not-found",
    HTTPStatus.NOT_FOUND,
    "Neither Temporal nor PostgreSQL knows the order.",
    "There is no order 123e4567-e89b-12d3-a456-426614174000.",
)
API_KEY_NOT_FOUND = _kind(
    "api-key-not-found",
    HTTPStatus.NOT_FOUND,
    "No key with this id is live.",
    "There is no live API key 0123456789ab.",
)
WEBHOOKS_NOT_CONFIGURED = _kind(
    "webhooks-not-configured",
    HTTPStatus.NOT_FOUND,
    "This gateway shares no secret with that sender, so it takes no webhooks of theirs.",
    "Webhooks are not taken here.",
)
METHOD_NOT_ALLOWED = _kind(
    "method-not-allowed",
    HTTPStatus.METHOD_NOT_ALLOWED,
    "The path is there, and takes other methods; `Allow` says which.",
    "Specified method is invalid for this resource.",
)
REQUEST_TIMEOUT = _kind(
    "request-timeout",
    HTTPStatus.REQUEST_TIMEOUT,
    "The body took too long to arrive.",
    "The request body took too long to arrive.",
)
ORDER_ALREADY_EXISTS = _kind(
    "order-already-exists",
    HTTPStatus.CONFLICT,
    "The id was used for another order. The same request again would have been recognised.",
    f"{_ORDER} was started with another request.",
)
ORDER_CLOSED = _kind(
    "order-closed",
    HTTPStatus.CONFLICT,
    "Nothing can be told to an order that has ended.",
    f"{_ORDER} has ended; its status says how.",
)
ALREADY_APPROVED = _kind(
    "already-approved",
    HTTPStatus.CONFLICT,
    "Somebody approved the order before.",
    f"{_ORDER} is approved already.",
)
NOT_AWAITING_APPROVAL = _kind(
    "not-awaiting-approval",
    HTTPStatus.CONFLICT,
    "The order is past its approval, or was never to have one.",
    f"{_ORDER} does not wait for an approval.",
)
ALREADY_CANCELLED = _kind(
    "already-cancelled",
    HTTPStatus.CONFLICT,
    "Somebody cancelled the order before; its money is on its way back.",
    f"{_ORDER} is being cancelled already.",
)
TOO_LATE_TO_CANCEL = _kind(
    "too-late-to-cancel",
    HTTPStatus.CONFLICT,
    "The parcel is being handed to the carrier, or the order has ended. Refund it instead.",
    f"{_ORDER} cannot be cancelled any more: its parcel is being handed over, or it has ended.",
)
TOO_LATE_TO_CHANGE_ADDRESS = _kind(
    "too-late-to-change-address",
    HTTPStatus.CONFLICT,
    "The parcel is being handed to the carrier, or the order is stopped.",
    f"{_ORDER} cannot go elsewhere any more: its parcel is being handed over, or it is stopped.",
)
ADDRESS_CHANGE_LIMIT = _kind(
    "address-change-limit",
    HTTPStatus.CONFLICT,
    "The address changed so often that the order takes no more.",
    f"{_ORDER} has changed its address too often.",
)
NOT_AWAITING_PAYMENT_METHOD = _kind(
    "not-awaiting-payment-method",
    HTTPStatus.CONFLICT,
    "No payment of the order was declined, or another method is being tried.",
    f"{_ORDER} does not wait for a payment method.",
)
NOTHING_TO_RETRY = _kind(
    "nothing-to-retry",
    HTTPStatus.CONFLICT,
    "No step of the order needs attention.",
    f"{_ORDER} has no step that needs attention.",
)
REQUEST_REJECTED = _kind(
    "request-rejected",
    HTTPStatus.CONFLICT,
    "The order refuses, for a reason that this gateway is too old to know.",
    f"{_ORDER} refuses this request.",
)
ORDER_NOT_REFUNDABLE = _kind(
    "order-not-refundable",
    HTTPStatus.CONFLICT,
    "The order has not shipped, or nothing was charged for it. Cancel it instead.",
    f"{_ORDER} has not shipped, or nothing was charged for it.",
)
REFUND_TOO_LARGE = _kind(
    "refund-too-large",
    HTTPStatus.CONFLICT,
    "More than what is left of the payment.",
    "At most 39.98 USD can still be given back.",
)
TOO_MANY_API_KEYS = _kind(
    "too-many-api-keys",
    HTTPStatus.CONFLICT,
    "A client has two live keys at most: one in use, and the one that takes its place.",
    "The client has two live keys; revoke one first.",
)
BODY_TOO_LARGE = _kind(
    "body-too-large",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "The body passes the limit, announced or not.",
    "A request body may have at most 65536 bytes.",
)
UNSUPPORTED_MEDIA_TYPE = _kind(
    "unsupported-media-type",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "The body is of another kind than JSON.",
    "Send the body as application/json.",
)
INVALID_REQUEST = _kind(
    "invalid-request",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "A field is missing, unknown, or of the wrong kind; `errors` says which.",
    "The request does not fit its schema.",
)
IDEMPOTENCY_KEY_REUSED = _kind(
    "idempotency-key-reused",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "The key came with another request before. A new request needs a new key.",
    "The Idempotency-Key was used for another request.",
)
ADDRESS_INVALID = _kind(
    "address-invalid",
    HTTPStatus.UNPROCESSABLE_ENTITY,
    "The address breaks a rule of the order; its events say which.",
    f"{_ORDER} refuses the address; its events say why.",
)
RATE_LIMIT_EXCEEDED = _kind(
    "rate-limit-exceeded",
    HTTPStatus.TOO_MANY_REQUESTS,
    "The caller has used up its calls; `Retry-After` says for how long.",
    "At most 100 per 1 second.",
)
INTERNAL_ERROR = _kind(
    "internal-error",
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "A defect of the gateway. Its log has the reason, by `request_id`.",
    "The gateway failed; it is logged.",
)
UNAVAILABLE = _kind(
    "unavailable",
    HTTPStatus.SERVICE_UNAVAILABLE,
    "Temporal, PostgreSQL or the identity provider does not answer. Repeating the request is safe;"
    " `Retry-After` says when.",
    "Temporal cannot be reached; repeating the request is safe.",
)
