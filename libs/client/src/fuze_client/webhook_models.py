"""Webhook endpoints in the API; docs/reference/openapi.json says what a field means."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from fuze_client.enumerations import EventType, WebhookDeliveryState, WebhookDisabledReason


class _Response(BaseModel):
    model_config = ConfigDict(frozen=True)


class WebhookEndpoint(_Response):
    """An endpoint without its secret; `disabled_reason` is why the service disabled it."""

    endpoint_id: UUID
    url: str
    event_types: list[EventType | str]
    description: str
    enabled: bool
    disabled_reason: WebhookDisabledReason | str | None
    failing_since: datetime | None
    needs_attention: bool
    created_at: datetime
    updated_at: datetime


class CreateWebhookEndpointResponse(WebhookEndpoint):
    """A new endpoint, and its secret, which cannot be read again."""

    secret: str


class ListWebhookEndpointsResponse(_Response):
    """Every endpoint, oldest first."""

    webhook_endpoints: list[WebhookEndpoint]


class RotateWebhookSecretResponse(_Response):
    """The new secret, which cannot be read again, and when the one before it expires."""

    secret: str
    previous_secret_expires_at: datetime


class WebhookDelivery(_Response):
    """A message at an endpoint; one that `is_blocked` waits for an earlier one of its order."""

    message_id: str
    order_id: UUID | None
    seq: int | None
    event_type: str
    state: WebhookDeliveryState | str
    attempts: int
    next_attempt_at: datetime | None
    last_attempted_at: datetime | None
    response_status: int | None
    response_body: str | None
    error: str | None
    is_blocked: bool
    created_at: datetime
    delivered_at: datetime | None


class ListWebhookDeliveriesResponse(_Response):
    """A page of deliveries; `next` is the cursor of the next page."""

    deliveries: list[WebhookDelivery]
    next: str | None


class RedeliverWebhooksResponse(_Response):
    """How many messages are delivered again."""

    deliveries: int


class SendTestWebhookResponse(_Response):
    """The test message; the deliveries of the endpoint say what became of it."""

    message_id: str
