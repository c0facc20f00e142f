"""The result that each of Stripe's responses means. Pure.

`Rejected` is returned only where no money was moved and none will be. What is not understood is
`Indeterminate`, and is looked up.
"""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

import httpx
import stripe
from pydantic import JsonValue, ValidationError, field_validator

from fuze_contracts.base import Message
from fuze_psp.provider import (
    Indeterminate,
    ListedCharge,
    ListedRefund,
    NotAttempted,
    OperationResult,
    Rejected,
    RetryLater,
    Succeeded,
    Unavailable,
    UnderReview,
)
from fuze_psp.stripe.amounts import from_stripe

Parsed = TypeVar("Parsed", bound=Message)

_DEFAULT_RETRY_AFTER = timedelta(seconds=1)
_MAX_RETRY_AFTER_SECONDS = 3600
_AFTER_MISCONFIGURATION = timedelta(seconds=30)
"""The retry interval until an operator has replaced the key or granted the permission."""
_PENDING_REFUND_RETRY_AFTER = timedelta(minutes=1)
_NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class _Error(Message):
    code: str | None = None
    decline_code: str | None = None


class _Metadata(Message):
    """Our ids; what anybody else has written there is ignored."""

    payment_id: UUID | None = None
    order_id: UUID | None = None
    refund_id: UUID | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _ignore_foreign_values(cls, value: JsonValue) -> UUID | None:
        try:
            return UUID(str(value))
        except ValueError:
            return None


class Intent(Message):
    """A PaymentIntent: the amount in Stripe's units, `created` in Unix seconds."""

    id: str
    status: str
    amount: int
    currency: str
    created: int
    metadata: _Metadata = _Metadata()
    last_payment_error: _Error | None = None
    cancellation_reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing was charged, and it could still be confirmed."""
        return self.status in {"requires_confirmation", "requires_action"} or (
            self.status == "requires_payment_method" and self.last_payment_error is None
        )

    @property
    def rejection_code(self) -> str:
        """Stripe's reason why nothing was charged."""
        if self.status == "requires_action":
            return "authentication_required"
        error = self.last_payment_error or _Error()
        return error.decline_code or error.code or self.cancellation_reason or self.status


class StripeRefund(Message):
    """A Refund: the amount in Stripe's units, `created` in Unix seconds."""

    id: str
    status: str
    amount: int
    currency: str
    created: int
    payment_intent: str | None = None
    charge: str | None = None
    metadata: _Metadata = _Metadata()
    failure_reason: str | None = None


def map_intent(intent: Intent) -> OperationResult:
    """Return the result of an intent that is not open."""
    match intent.status:
        case "succeeded":
            return Succeeded(reference=intent.id)
        case "processing":
            return UnderReview(reference=intent.id)
        case "canceled" | "requires_payment_method" if not intent.is_open:
            return Rejected(code=intent.rejection_code, reference=intent.id)
        case status:
            return Indeterminate(reason=f"unknown status at Stripe: {status}")


def map_refund(refund: StripeRefund) -> OperationResult:
    """Return the result of a refund; a pending one may still fail."""
    match refund.status:
        case "succeeded":
            return Succeeded(reference=refund.id)
        case "failed" | "canceled":
            return Rejected(code=refund.failure_reason or refund.status, reference=refund.id)
        case "pending" | "requires_action":
            return RetryLater(retry_after=_PENDING_REFUND_RETRY_AFTER)
        case status:
            return Indeterminate(reason=f"unknown status at Stripe: {status}")


def map_error(error: stripe.StripeError) -> Rejected | Unavailable:
    """Return the result of the request that failed with this error.

    An idempotency error means that our key was first used with other parameters, by another version
    of this service. That first request may have been executed, so the error is not a rejection.
    """
    unprocessed = _map_unprocessed(error)
    if unprocessed is not None:
        return unprocessed
    code = _error_code(error)
    match error:
        case stripe.CardError():
            return Rejected(code=code or "card_declined")
        case stripe.InvalidRequestError():
            return Rejected(code=code or "invalid_request")
    reason = f"{type(error).__name__}, status {error.http_status}, {code or 'no code'}"
    return Indeterminate(reason=reason)


def _map_unprocessed(error: stripe.StripeError) -> NotAttempted | RetryLater | None:
    """Return the result of a request that Stripe did not process; None where it did."""
    if isinstance(error.__cause__, _NEVER_CONNECTED):
        return NotAttempted(retry_after=_DEFAULT_RETRY_AFTER)
    if error.http_status == HTTPStatus.CONFLICT or _error_code(error) == "lock_timeout":
        return RetryLater(retry_after=_retry_after(error))
    match error:
        case stripe.RateLimitError():
            return NotAttempted(retry_after=_retry_after(error))
        case stripe.AuthenticationError() | stripe.PermissionError():
            # Our key or its permissions are wrong; the customer's payment method is not.
            return NotAttempted(retry_after=_AFTER_MISCONFIGURATION)
        case _:
            return None


def _error_code(error: stripe.StripeError) -> str | None:
    """Return the issuer's decline code, else Stripe's code; some errors have neither."""
    if error.error is None:
        return None
    found = error.error.to_dict()
    code = found.get("decline_code") or found.get("code")
    return code if isinstance(code, str) else None


def embedded_intent(error: stripe.StripeError) -> Intent | None:
    """Return the intent that an error contains, if any."""
    found = error.error.to_dict().get("payment_intent") if error.error else None
    try:
        return Intent.model_validate(found)
    except ValidationError:
        return None


def map_listed_intent(intent: Intent) -> ListedCharge:
    """Return an intent as a charge of the provider's records."""
    return ListedCharge(
        reference=intent.id,
        payment_id=intent.metadata.payment_id,
        order_id=intent.metadata.order_id,
        amount_minor=from_stripe(intent.amount, intent.currency),
        currency=intent.currency.upper(),
        succeeded=intent.status == "succeeded",
        occurred_at=datetime.fromtimestamp(intent.created, UTC),
    )


def map_listed_refund(refund: StripeRefund) -> ListedRefund:
    """Return a refund of the provider's records."""
    return ListedRefund(
        reference=refund.id,
        charge_reference=refund.payment_intent or refund.charge or "",
        refund_id=refund.metadata.refund_id,
        amount_minor=from_stripe(refund.amount, refund.currency),
        occurred_at=datetime.fromtimestamp(refund.created, UTC),
    )


def parse(kind: type[Parsed], body: dict[str, Any]) -> Parsed | Indeterminate:
    """Treat an unreadable response as no response: the money may have moved."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        return Indeterminate(reason=f"unreadable response of Stripe: {error.error_count()} errors")


def _retry_after(error: stripe.StripeError) -> timedelta:
    value = (error.headers or {}).get("retry-after", "")
    if not value.isdecimal():
        return _DEFAULT_RETRY_AFTER
    return timedelta(seconds=min(int(value), _MAX_RETRY_AFTER_SECONDS))
