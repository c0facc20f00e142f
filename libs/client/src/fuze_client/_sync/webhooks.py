"""Webhook endpoints, and what was delivered to them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Unpack
from uuid import UUID

from fuze_client._sync.transport import Transport, to_query
from fuze_client.enumerations import EventType
from fuze_client.requests import WebhookDeliveryFilters
from fuze_client.webhook_models import (
    CreateWebhookEndpointResponse,
    ListWebhookDeliveriesResponse,
    ListWebhookEndpointsResponse,
    RedeliverWebhooksResponse,
    RotateWebhookSecretResponse,
    SendTestWebhookResponse,
    WebhookDelivery,
    WebhookEndpoint,
)

MAX_DELIVERIES = 200
"""The most deliveries that a page has."""

_PATH = "webhook-endpoints"


class Webhooks:
    """The webhook endpoints of a gateway.

    `create`, `rotate_secret` and `send_test` are sent once, however long `retry_for` is: repeated,
    they would do it again.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        url: str,
        *,
        event_types: Sequence[EventType | str] = (),
        description: str = "",
        enabled: bool = True,
    ) -> CreateWebhookEndpointResponse:
        """Create an endpoint; its `secret` is returned this once.

        It is sent the events of all orders from now on: all types, or `event_types`.
        """
        body = {
            "url": url,
            "event_types": list(event_types),
            "description": description,
            "enabled": enabled,
        }
        return self._transport.post(
            (_PATH,), CreateWebhookEndpointResponse, body, is_repeatable=False
        )

    def list(self) -> Sequence[WebhookEndpoint]:
        """Return every endpoint, oldest first, without secrets."""
        found = self._transport.get((_PATH,), ListWebhookEndpointsResponse)
        return found.webhook_endpoints

    def get(self, endpoint_id: UUID | str) -> WebhookEndpoint:
        """Return an endpoint, without its secret."""
        return self._transport.get((_PATH, endpoint_id), WebhookEndpoint)

    def change(
        self,
        endpoint_id: UUID | str,
        *,
        url: str | None = None,
        event_types: Sequence[EventType | str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> WebhookEndpoint:
        """Change what is not None; no `event_types` at all are all of them.

        Events wait while an endpoint is disabled. Enabled again, it gets all that it has not
        accepted.
        """
        body = {
            "url": url,
            "event_types": None if event_types is None else list(event_types),
            "description": description,
            "enabled": enabled,
        }
        return self._transport.patch((_PATH, endpoint_id), WebhookEndpoint, body)

    def delete(self, endpoint_id: UUID | str) -> None:
        """Delete an endpoint with its deliveries."""
        self._transport.delete((_PATH, endpoint_id))

    def rotate_secret(
        self, endpoint_id: UUID | str, *, overlap_seconds: int | None = None
    ) -> RotateWebhookSecretResponse:
        """Create another secret, which is returned this once; the API's overlap is a day."""
        return self._transport.post(
            (_PATH, endpoint_id, "rotate-secret"),
            RotateWebhookSecretResponse,
            {"overlap_seconds": overlap_seconds},
            is_repeatable=False,
        )

    def send_test(self, endpoint_id: UUID | str) -> SendTestWebhookResponse:
        """Send a signed message of the type `webhook.test`."""
        return self._transport.post(
            (_PATH, endpoint_id, "test"), SendTestWebhookResponse, is_repeatable=False
        )

    def get_deliveries_page(
        self,
        endpoint_id: UUID | str,
        *,
        limit: int = 50,
        cursor: str | None = None,
        **filters: Unpack[WebhookDeliveryFilters],
    ) -> ListWebhookDeliveriesResponse:
        """Return a page, newest first; `cursor` is `next` of the page before."""
        params = to_query({**filters, "limit": limit, "cursor": cursor})
        return self._transport.get(
            (_PATH, endpoint_id, "deliveries"), ListWebhookDeliveriesResponse, params
        )

    def list_deliveries(
        self,
        endpoint_id: UUID | str,
        *,
        page_size: int = MAX_DELIVERIES,
        **filters: Unpack[WebhookDeliveryFilters],
    ) -> Iterator[WebhookDelivery]:
        """Yield all deliveries, newest first; a page at a time."""
        cursor = None
        while True:
            page = self.get_deliveries_page(endpoint_id, limit=page_size, cursor=cursor, **filters)
            for delivery in page.deliveries:
                yield delivery
            if (cursor := page.next) is None:
                return

    def redeliver(
        self,
        endpoint_id: UUID | str,
        *,
        message_id: str | None = None,
        failed_since: datetime | None = None,
    ) -> RedeliverWebhooksResponse:
        """Deliver one message again, or all whose last attempt since a time failed.

        Send one of the two; `failed_since` has a time zone.
        """
        since = None if failed_since is None else failed_since.isoformat()
        return self._transport.post(
            (_PATH, endpoint_id, "redeliver"),
            RedeliverWebhooksResponse,
            {"message_id": message_id, "failed_since": since},
        )
