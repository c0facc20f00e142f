"""What Stripe's answers mean for the money. Pure.

`Refused` is said only where nothing was taken and nothing will be. Whatever is not understood is
`Unclear`, and looked up.
"""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

import httpx
import stripe
from pydantic import JsonValue, ValidationError, field_validator

from fuze_contracts.base import Message
from fuze_payment.provider import (
    ChargeAnswer,
    Held,
    ListedCharge,
    ListedRefund,
    NotSent,
    RefundAnswer,
    Refused,
    Taken,
    TryLater,
    Unclear,
)
from fuze_payment.provider.stripe_amounts import from_stripe

Read = TypeVar("Read", bound=Message)

_DEFAULT_RETRY_AFTER = timedelta(seconds=1)
_LONGEST_RETRY_AFTER = 3600
_OPERATOR = timedelta(seconds=30)
"""After how long to look whether somebody has mended the key or the rights."""
_PENDING_REFUND = timedelta(minutes=1)
_NEVER_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class _Error(Message):
    code: str | None = None
    decline_code: str | None = None


class _Metadata(Message):
    """Ours; whatever others have written there is no id of ours."""

    payment_id: UUID | None = None
    order_id: UUID | None = None
    refund_id: UUID | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _only_ids(cls, value: JsonValue) -> UUID | None:
        try:
            return UUID(str(value))
        except ValueError:
            return None


class Intent(Message):
    """A PaymentIntent; the amount as Stripe writes it, `created` in Unix seconds."""

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
        """Whether it has taken nothing, and somebody could still make it."""
        return self.status in {"requires_confirmation", "requires_action"} or (
            self.status == "requires_payment_method" and self.last_payment_error is None
        )

    @property
    def rejection_code(self) -> str:
        """Why nothing was taken, in Stripe's words."""
        if self.status == "requires_action":
            return "authentication_required"
        error = self.last_payment_error or _Error()
        return error.decline_code or error.code or self.cancellation_reason or self.status


class StripeRefund(Message):
    """A Refund; the amount as Stripe writes it, `created` in Unix seconds."""

    id: str
    status: str
    amount: int
    currency: str
    created: int
    payment_intent: str | None = None
    charge: str | None = None
    metadata: _Metadata = _Metadata()
    failure_reason: str | None = None


def answer_of_intent(intent: Intent) -> ChargeAnswer:
    """Say what an intent that is not open means."""
    match intent.status:
        case "succeeded":
            return Taken(reference=intent.id)
        case "processing":
            return Held(reference=intent.id)
        case "canceled" | "requires_payment_method" if not intent.is_open:
            return Refused(code=intent.rejection_code, reference=intent.id)
        case status:
            return Unclear(why=f"Stripe says {status}")


def answer_of_refund(refund: StripeRefund) -> RefundAnswer:
    """Say what a refund means: one that is pending may still fail."""
    match refund.status:
        case "succeeded":
            return Taken(reference=refund.id)
        case "failed" | "canceled":
            return Refused(code=refund.failure_reason or refund.status, reference=refund.id)
        case "pending" | "requires_action":
            return TryLater(after=_PENDING_REFUND)
        case status:
            return Unclear(why=f"Stripe says {status}")


def answer_of_error(error: stripe.StripeError) -> Refused | NotSent | TryLater | Unclear:
    """Say what an error means for the request that it answers.

    An idempotency error says that our key was first used with other parameters, by another version
    of this service: that first request may have been carried out, so that it refuses nothing.
    """
    turned_away = _turned_away(error)
    if turned_away is not None:
        return turned_away
    code = code_of(error)
    match error:
        case stripe.CardError():
            return Refused(code=code or "card_declined")
        case stripe.InvalidRequestError():
            return Refused(code=code or "invalid_request")
    return Unclear(why=f"{type(error).__name__}, status {error.http_status}, {code or 'no code'}")


def _turned_away(error: stripe.StripeError) -> NotSent | TryLater | None:
    """Say it of a request that was not carried out, for no fault of its own."""
    if isinstance(error.__cause__, _NEVER_CONNECTED):
        return NotSent(after=_DEFAULT_RETRY_AFTER)
    if error.http_status == HTTPStatus.CONFLICT or code_of(error) == "lock_timeout":
        return TryLater(after=_retry_after(error))
    match error:
        case stripe.RateLimitError():
            return NotSent(after=_retry_after(error))
        case stripe.AuthenticationError() | stripe.PermissionError():
            # Our key or its rights: no customer's fault.
            return NotSent(after=_OPERATOR)
        case _:
            return None


def code_of(error: stripe.StripeError) -> str | None:
    """Return the bank's code, else Stripe's; the library leaves it out of some errors."""
    if error.error is None:
        return None
    found = error.error.to_dict()
    code = found.get("decline_code") or found.get("code")
    return code if isinstance(code, str) else None


def intent_in(error: stripe.StripeError) -> Intent | None:
    """Return the intent that a refusal is about, if it shows one."""
    found = error.error.to_dict().get("payment_intent") if error.error else None
    try:
        return Intent.model_validate(found)
    except ValidationError:
        return None


def listed_charge(intent: Intent) -> ListedCharge:
    """Write an intent as the books do."""
    return ListedCharge(
        reference=intent.id,
        payment_id=intent.metadata.payment_id,
        order_id=intent.metadata.order_id,
        amount_minor=from_stripe(intent.amount, intent.currency),
        currency=intent.currency.upper(),
        taken=intent.status == "succeeded",
        occurred_at=datetime.fromtimestamp(intent.created, UTC),
    )


def listed_refund(refund: StripeRefund) -> ListedRefund:
    """Write a refund as the books do."""
    return ListedRefund(
        reference=refund.id,
        charge_reference=refund.payment_intent or refund.charge or "",
        refund_id=refund.metadata.refund_id,
        amount_minor=from_stripe(refund.amount, refund.currency),
        occurred_at=datetime.fromtimestamp(refund.created, UTC),
    )


def read(kind: type[Read], body: dict[str, Any]) -> Read | Unclear:
    """Take an answer that cannot be read for none: the money may have moved."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        return Unclear(why=f"Stripe's answer cannot be read: {error.error_count()} errors")


def _retry_after(error: stripe.StripeError) -> timedelta:
    value = (error.headers or {}).get("retry-after", "")
    if not value.isdecimal():
        return _DEFAULT_RETRY_AFTER
    return timedelta(seconds=min(int(value), _LONGEST_RETRY_AFTER))
