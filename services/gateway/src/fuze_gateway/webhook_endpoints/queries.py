"""Reads of the published views of webhook endpoints and deliveries in PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from itsdangerous import BadSignature, URLSafeSerializer
from pydantic import SecretStr

from fuze_contracts.order_states import EventType
from fuze_contracts.read_models import (
    WEBHOOK_DELIVERIES_VIEW,
    WEBHOOK_ENDPOINTS_VIEW,
    PublishedWebhookDelivery,
    PublishedWebhookEndpoint,
)
from fuze_contracts.webhooks import WebhookDeliveryState
from fuze_gateway.database import Database, Statement, published_view
from fuze_gateway.orders.order_search import InvalidCursorError

_time = sa.DateTime(timezone=True)

ENDPOINTS = published_view(
    WEBHOOK_ENDPOINTS_VIEW,
    PublishedWebhookEndpoint,
    endpoint_id=sa.Uuid(),
    url=sa.Text(),
    event_types=sa.ARRAY(sa.Text()),
    description=sa.Text(),
    is_enabled=sa.Boolean(),
    disabled_reason=sa.Text(),
    failing_since=_time,
    created_at=_time,
    updated_at=_time,
    deleted_at=_time,
)
DELIVERIES = published_view(
    WEBHOOK_DELIVERIES_VIEW,
    PublishedWebhookDelivery,
    position=sa.BigInteger(),
    endpoint_id=sa.Uuid(),
    message_id=sa.Text(),
    order_id=sa.Uuid(),
    event_type=sa.Text(),
    state=sa.Text(),
    attempts=sa.Integer(),
    next_attempt_at=_time,
    last_attempted_at=_time,
    created_at=_time,
    delivered_at=_time,
)

IS_ENDPOINT = ENDPOINTS.c.endpoint_id == sa.bindparam("of_endpoint", type_=sa.Uuid())

_LIST = Statement.compile(
    sa.select(ENDPOINTS).order_by(ENDPOINTS.c.created_at, ENDPOINTS.c.endpoint_id)
)
_FIND = Statement.compile(sa.select(ENDPOINTS).where(IS_ENDPOINT))


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """The filters of a list of deliveries. None matches any delivery of the endpoint."""

    endpoint_id: UUID
    state: WebhookDeliveryState | None = None
    event_type: EventType | None = None
    order_id: UUID | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class DeliveryPage:
    """Deliveries, and the cursor of the next page if there is one."""

    deliveries: list[PublishedWebhookDelivery]
    next: str | None


class WebhookEndpointQueries:
    """Reads of endpoints; `UpstreamUnavailableError` when PostgreSQL is unavailable."""

    def __init__(self, database: Database, cursor_signing_key: SecretStr) -> None:
        self._database = database
        self._cursors = URLSafeSerializer(
            cursor_signing_key.get_secret_value(), salt="webhook-deliveries"
        )

    async def list_endpoints(self) -> list[PublishedWebhookEndpoint]:
        """Return every endpoint, oldest first."""
        rows = await self._database.fetch(_LIST)
        return [PublishedWebhookEndpoint.model_validate(row) for row in rows]

    async def get_endpoint(self, endpoint_id: UUID) -> PublishedWebhookEndpoint | None:
        """Return an endpoint by its id."""
        rows = await self._database.fetch(_FIND, of_endpoint=endpoint_id)
        return PublishedWebhookEndpoint.model_validate(rows[0]) if rows else None

    async def list_deliveries(
        self, criteria: DeliveryFilter, *, cursor: str | None, size: int
    ) -> DeliveryPage:
        """Return a page of deliveries, newest first.

        Raises:
            InvalidCursorError: the cursor is none of this list.

        """
        before = self._parse_cursor(cursor, criteria.endpoint_id) if cursor else None
        query = _page_query(criteria, before).limit(size + 1)
        rows = await self._database.fetch(Statement.compile(query))
        found = [PublishedWebhookDelivery.model_validate(row) for row in rows[:size]]
        more = len(rows) > size
        position = [found[-1].position, criteria.endpoint_id.hex] if more else None
        return DeliveryPage(
            deliveries=found, next=str(self._cursors.dumps(position)) if position else None
        )

    def _parse_cursor(self, cursor: str, endpoint_id: UUID) -> int:
        try:
            position, of_endpoint = self._cursors.loads(cursor)
        except BadSignature as error:
            raise InvalidCursorError from error
        if of_endpoint != endpoint_id.hex:
            raise InvalidCursorError
        return int(position)


def _page_query(criteria: DeliveryFilter, before: int | None) -> sa.Select[tuple[object, ...]]:
    columns = DELIVERIES.c
    conditions: list[sa.ColumnElement[bool]] = [columns.endpoint_id == criteria.endpoint_id]
    if before is not None:
        conditions.append(columns.position < sa.literal(before, sa.BigInteger()))
    if criteria.state is not None:
        conditions.append(columns.state == criteria.state.value)
    if criteria.event_type is not None:
        conditions.append(columns.event_type == criteria.event_type.value)
    if criteria.order_id is not None:
        conditions.append(columns.order_id == criteria.order_id)
    if criteria.created_from is not None:
        conditions.append(columns.created_at >= criteria.created_from)
    if criteria.created_before is not None:
        conditions.append(columns.created_at < criteria.created_before)
    return sa.select(DELIVERIES).where(*conditions).order_by(columns.position.desc())
