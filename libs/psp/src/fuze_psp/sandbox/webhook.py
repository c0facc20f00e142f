"""The sandbox PSP's webhooks, which have Stripe's signature scheme."""

from uuid import UUID

from pydantic import ConfigDict, ValidationError

from fuze_contracts.base import Message
from fuze_psp.sandbox.settings import SandboxWebhookSettings
from fuze_psp.stripe.webhook import verify_signature
from fuze_psp.webhooks import EventId, Webhook, WebhookEvent


class _Event(Message):
    """An event of the sandbox payment provider. Other fields are ignored."""

    model_config = ConfigDict(
        title="SandboxEvent",
        json_schema_extra={
            "examples": [{"id": "evt_1", "payment_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}]
        },
    )

    id: EventId
    payment_id: UUID


def parse_event(body: bytes) -> WebhookEvent | None:
    """Return the event; None where the body is not an event of the sandbox's."""
    try:
        event = _Event.model_validate_json(body)
    except ValidationError:
        return None
    return WebhookEvent(event_id=event.id, payment_id=event.payment_id)


SANDBOX_WEBHOOK: Webhook[SandboxWebhookSettings] = Webhook(
    name="psp",
    sender="the sandbox payment provider",
    signature_header="PSP-Signature",
    body_schema=_Event.model_json_schema(),
    secret=lambda settings: settings.psp_webhook_secret,
    verify=verify_signature,
    parse=parse_event,
)
