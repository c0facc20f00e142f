"""Stripe's webhooks: signed events about PaymentIntents."""

from uuid import UUID

import stripe
from pydantic import JsonValue, ValidationError, field_validator

from fuze_contracts.base import Message
from fuze_psp.stripe.settings import StripeWebhookSettings
from fuze_psp.webhooks import EventId, Webhook, WebhookEvent

_DECISIONS = {
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.canceled",
}


class _Metadata(Message):
    payment_id: UUID | None = None

    @field_validator("payment_id", mode="before")
    @classmethod
    def _ignore_foreign_ids(cls, value: JsonValue) -> UUID | None:
        """Ignore what is no id of ours: the account may have other users."""
        try:
            return UUID(str(value))
        except ValueError:
            return None


class _Object(Message):
    metadata: _Metadata | None = None


class _Data(Message):
    object: _Object


class _Event(Message):
    id: EventId
    type: str
    data: _Data | None = None


def verify_signature(body: bytes, signature: str, secret: str) -> bool:
    """Whether the header signs this body with this secret, at most five minutes ago."""
    try:
        stripe.WebhookSignature.verify_header(
            body, signature, secret, stripe.Webhook.DEFAULT_TOLERANCE
        )
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        # ValueError: the body is not UTF-8. TypeError: the signature is not ASCII.
        return False
    return True


def parse_event(body: bytes) -> WebhookEvent | None:
    """Return the event; None where the body is not an event of Stripe's."""
    try:
        event = _Event.model_validate_json(body)
    except ValidationError:
        return None
    metadata = event.data.object.metadata if event.data else None
    decided = metadata.payment_id if metadata and event.type in _DECISIONS else None
    return WebhookEvent(event_id=event.id, payment_id=decided)


STRIPE_WEBHOOK: Webhook[StripeWebhookSettings] = Webhook(
    name="stripe",
    sender="Stripe",
    signature_header="Stripe-Signature",
    body_schema={
        "title": "StripeEvent",
        "type": "object",
        "examples": [{"id": "evt_1", "type": "charge.updated"}],
    },
    secret=lambda settings: settings.stripe_webhook_secret,
    verify=verify_signature,
    parse=parse_event,
)
