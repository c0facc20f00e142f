"""Request and response models of webhook endpoints and deliveries."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from fuze_contracts.order_states import EventType
from fuze_contracts.read_models import PublishedWebhookDelivery, PublishedWebhookEndpoint
from fuze_contracts.webhooks import (
    MAX_URL_LENGTH,
    WebhookDeliveryState,
    WebhookDisabledReason,
)
from fuze_gateway.orders.schemas.orders import example
from fuze_gateway.types import (
    EXAMPLE_ORDER_ID,
    EXAMPLE_WEBHOOK_ENDPOINT_ID,
    LongText,
    OrderId,
    RequestModel,
    Text,
    UtcDateTime,
)
from fuze_gateway.webhook_endpoints.queries import DeliveryFilter

_URL = "https://shop.example/webhooks"
_SECRET = f"whsec_{'A' * 43}="
_MESSAGE_ID = f"evt_{EXAMPLE_ORDER_ID.replace('-', '')}_3"
_ENDPOINT: JsonDict = {
    "endpoint_id": EXAMPLE_WEBHOOK_ENDPOINT_ID,
    "url": _URL,
    "event_types": ["order_shipped", "order_cancelled"],
    "description": "the shop",
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "needs_attention": False,
    "created_at": "2026-01-05T10:00:00Z",
    "updated_at": "2026-01-05T10:00:00Z",
}
_ROTATED: JsonDict = {
    "secret": _SECRET,
    "previous_secret_expires_at": "2026-01-06T10:00:00Z",
}
_DELIVERY: JsonDict = {
    "message_id": _MESSAGE_ID,
    "order_id": EXAMPLE_ORDER_ID,
    "seq": 3,
    "event_type": "order_approved",
    "state": "pending",
    "attempts": 2,
    "next_attempt_at": "2026-01-05T10:06:10Z",
    "last_attempted_at": "2026-01-05T10:01:06Z",
    "response_status": 503,
    "response_body": "try later",
    "error": "the endpoint responded 503",
    "is_blocked": False,
    "created_at": "2026-01-05T10:01:01Z",
    "delivered_at": None,
}


def _reject_duplicates(types: list[EventType]) -> list[EventType]:
    if len(set(types)) < len(types):
        raise ValueError("send each type once")
    return types


Url = Annotated[
    Text,
    Field(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        description="An `https://` URL of a host that is reachable from the internet, without"
        " credentials. In the environment `local`, `http://` and any host are allowed.",
        examples=[_URL],
    ),
]
EventTypes = Annotated[
    list[Annotated[EventType, Field(strict=False)]],
    Field(
        max_length=len(EventType),
        description="The types of events that are sent; an empty list is all of them.",
        examples=[["order_shipped", "order_cancelled"]],
    ),
    AfterValidator(_reject_duplicates),
]
Description = Annotated[LongText, Field(description="For people.")]


class CreateWebhookEndpointRequest(RequestModel):
    """Where events are sent, and which."""

    model_config = example(
        url=_URL, event_types=["order_shipped", "order_cancelled"], description="the shop"
    )

    url: Url
    event_types: EventTypes = Field([])
    description: Description = ""
    enabled: bool = True


class ChangeWebhookEndpointRequest(RequestModel):
    """What changes; a field that is not sent stays as it is."""

    model_config = example(enabled=True)

    url: Url | None = None
    event_types: EventTypes | None = None
    description: Description | None = None
    enabled: bool | None = None

    def to_changes(self) -> dict[str, Any]:
        """Return the changed columns."""
        changes = self.model_dump(mode="json", exclude_none=True)
        if "enabled" in changes:
            changes["is_enabled"] = changes.pop("enabled")
        return changes


class WebhookEndpoint(BaseModel):
    """An endpoint without its secret.

    It needs attention if it was disabled because it failed, or a delivery has failed. It is failing
    since the first failed attempt after the last one that it accepted.
    """

    model_config = example(**_ENDPOINT)

    endpoint_id: UUID
    url: str
    event_types: list[EventType]
    description: str
    enabled: bool
    disabled_reason: WebhookDisabledReason | None
    failing_since: datetime | None
    needs_attention: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_record(cls, record: PublishedWebhookEndpoint, **more: str) -> Self:
        """Build the response of a record."""
        fields = record.model_dump()
        needs_attention = record.disabled_reason is not None or record.has_failed_deliveries
        return cls(**fields, enabled=record.is_enabled, needs_attention=needs_attention, **more)


class CreateWebhookEndpointResponse(WebhookEndpoint):
    """A new endpoint. `secret` is returned once and cannot be read again."""

    model_config = example(**_ENDPOINT, secret=_SECRET)

    secret: str


class ListWebhookEndpointsResponse(BaseModel):
    """Every endpoint, oldest first."""

    model_config = example(webhook_endpoints=[_ENDPOINT])

    webhook_endpoints: list[WebhookEndpoint]


class RotateWebhookSecretRequest(RequestModel):
    """How long the secret until now signs beside the new one."""

    model_config = example(overlap_seconds=86400)

    overlap_seconds: int = Field(86_400, ge=0, le=7 * 86_400)

    @property
    def overlap(self) -> timedelta:
        """The time for which both secrets sign."""
        return timedelta(seconds=self.overlap_seconds)


class RotateWebhookSecretResponse(BaseModel):
    """The new secret, which is returned once, and when the one before it expires."""

    model_config = example(**_ROTATED)

    secret: str
    previous_secret_expires_at: datetime


class ListWebhookDeliveriesRequest(RequestModel):
    """The filters and the page of a list of deliveries."""

    model_config = ConfigDict(strict=False)

    state: WebhookDeliveryState | None = Field(None, description="Deliveries in this state.")
    event_type: EventType | None = Field(None, description="Deliveries of this type of event.")
    order_id: OrderId | None = Field(None, description="Deliveries of the events of this order.")
    created_from: UtcDateTime | None = Field(
        None, description="Deliveries created at or after this time (RFC 3339, with an offset)."
    )
    created_before: UtcDateTime | None = Field(
        None, description="Deliveries created before this time (RFC 3339, with an offset)."
    )
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=500, description="`next` of the previous page.")

    def to_filter(self, endpoint_id: UUID) -> DeliveryFilter:
        """Return the filter, which is the same for every page."""
        fields = self.model_dump(exclude={"limit", "cursor"})
        return DeliveryFilter(endpoint_id=endpoint_id, **fields)


class WebhookDelivery(BaseModel):
    """A message at the endpoint; `message_id` is its `webhook-id`. A test message has no order.

    The beginning of the last response, or the error, says why it is not delivered. One that
    `is_blocked` waits for an earlier message of its order.
    """

    model_config = example(**_DELIVERY)

    message_id: str
    order_id: UUID | None
    seq: int | None
    event_type: str
    state: WebhookDeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempted_at: datetime | None
    response_status: int | None
    response_body: str | None
    error: str | None
    is_blocked: bool
    created_at: datetime
    delivered_at: datetime | None

    @classmethod
    def from_record(cls, record: PublishedWebhookDelivery) -> Self:
        """Build the response of a record."""
        fields = record.model_dump()
        if record.state is not WebhookDeliveryState.PENDING:
            fields |= {"next_attempt_at": None, "is_blocked": False}
        return cls(**fields)


class ListWebhookDeliveriesResponse(BaseModel):
    """Deliveries, newest first; pass `next` as `cursor` to get the next page."""

    model_config = example(deliveries=[_DELIVERY], next=None)

    deliveries: list[WebhookDelivery]
    next: str | None


class RedeliverWebhooksRequest(RequestModel):
    """One message, or all that have failed since a time."""

    model_config = example(failed_since="2026-01-05T10:00:00Z")

    message_id: Annotated[Text, Field(min_length=1, max_length=100)] | None = Field(
        None, description="A message of the endpoint, delivered or not."
    )
    failed_since: Annotated[UtcDateTime, Field(strict=False)] | None = Field(
        None, description="All messages whose last attempt was at or after this time, and failed."
    )


class RedeliverWebhooksResponse(BaseModel):
    """How many messages are delivered again."""

    model_config = example(deliveries=1)

    deliveries: int


class SendTestWebhookResponse(BaseModel):
    """The test message that is sent; the deliveries of the endpoint say what became of it."""

    model_config = example(message_id="test_0123456789abcdef0123456789abcdef")

    message_id: str
