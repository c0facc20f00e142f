"""Writes of webhook endpoints, through the views that the webhooks service publishes.

They are writes of PostgreSQL, not messages to a workflow: a secret in a message would be in
Temporal's history. The service's workers find what was written (ADR 24).
"""

import secrets
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import sqlalchemy as sa

from fuze_contracts.read_models import PublishedWebhookEndpoint
from fuze_contracts.webhooks import SECRETS_TABLE, TEST_EVENT_TYPE, WebhookDeliveryState
from fuze_gateway.database import Database, Statement, Transaction
from fuze_gateway.webhook_endpoints.queries import DELIVERIES, ENDPOINTS, IS_ENDPOINT

MAX_ENDPOINTS = 100

_SECRET_BYTES = 32

_schema, _, _name = SECRETS_TABLE.partition(".")
_SECRETS = sa.table(
    _name,
    sa.column("endpoint_id", sa.Uuid()),
    sa.column("secret", sa.Text()),
    sa.column("expires_at", sa.DateTime(timezone=True)),
    schema=_schema,
)
_has_endpoint = DELIVERIES.c.endpoint_id == sa.bindparam("of_endpoint", type_=sa.Uuid())

_LOCK = Statement.compile(sa.text("SELECT pg_advisory_xact_lock(hashtext('webhook_endpoints'))"))
_COUNT = Statement.compile(sa.select(sa.func.count().label("existing")).select_from(ENDPOINTS))
_CREATE = Statement.compile(
    sa.insert(ENDPOINTS)
    .values(
        {
            name: sa.bindparam(name)
            for name in ("endpoint_id", "url", "event_types", "description", "is_enabled")
        }
    )
    .returning(ENDPOINTS)
)
_DELETE = Statement.compile(
    sa.update(ENDPOINTS)
    .where(IS_ENDPOINT)
    .values(deleted_at=sa.func.now())
    .returning(ENDPOINTS.c.endpoint_id)
)
_FIND = Statement.compile(sa.select(ENDPOINTS.c.is_enabled).where(IS_ENDPOINT).with_for_update())
_ADD_SECRET = Statement.compile(
    sa.insert(_SECRETS).values(
        endpoint_id=sa.bindparam("endpoint_id"), secret=sa.bindparam("secret")
    )
)
# Two sign at the same time, at most: one that was replaced earlier expires now.
_EXPIRE_SECRETS = Statement.compile(
    sa.update(_SECRETS)
    .where(_SECRETS.c.endpoint_id == sa.bindparam("of_endpoint", type_=sa.Uuid()))
    .values(
        expires_at=sa.case(
            (
                _SECRETS.c.expires_at.is_(None),
                sa.func.now() + sa.bindparam("overlap", type_=sa.Interval()),
            ),
            else_=sa.func.now(),
        )
    )
    .returning(_SECRETS.c.expires_at)
)
_redelivery = sa.update(DELIVERIES).values(
    state=WebhookDeliveryState.PENDING.value,
    attempts=0,
    next_attempt_at=sa.func.now(),
    delivered_at=None,
)
_REDELIVER = Statement.compile(
    _redelivery.where(
        _has_endpoint, DELIVERIES.c.message_id == sa.bindparam("of_message", type_=sa.Text())
    ).returning(DELIVERIES.c.message_id)
)
_REDELIVER_FAILED = Statement.compile(
    _redelivery.where(
        _has_endpoint,
        DELIVERIES.c.state == WebhookDeliveryState.FAILED.value,
        DELIVERIES.c.last_attempted_at >= sa.bindparam("since", type_=sa.DateTime(timezone=True)),
    ).returning(DELIVERIES.c.message_id)
)
_REDELIVER_ALL = Statement.compile(
    _redelivery.where(_has_endpoint, DELIVERIES.c.state != WebhookDeliveryState.DELIVERED.value)
)
_SEND_TEST = Statement.compile(
    sa.insert(DELIVERIES).values(
        endpoint_id=sa.bindparam("endpoint_id"),
        message_id=sa.bindparam("message_id"),
        event_type=TEST_EVENT_TYPE,
    )
)


class TooManyEndpointsError(Exception):
    """There are as many endpoints as there can be."""


class EndpointDisabledError(Exception):
    """The endpoint is disabled."""


class WebhookEndpointCommands:
    """Writes of endpoints; `UpstreamUnavailableError` when PostgreSQL is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, *, url: str, event_types: list[str], description: str, is_enabled: bool
    ) -> tuple[PublishedWebhookEndpoint, str]:
        """Create an endpoint for the events from now on; return it with its secret.

        The secret cannot be read a second time.

        Raises:
            TooManyEndpointsError: there are 100.

        """
        secret = _create_secret()
        async with self._database.transaction() as transaction:
            await transaction.fetch(_LOCK)
            [counted] = await transaction.fetch(_COUNT)
            if counted["existing"] >= MAX_ENDPOINTS:
                raise TooManyEndpointsError
            [row] = await transaction.fetch(
                _CREATE,
                endpoint_id=uuid4(),
                url=url,
                event_types=event_types,
                description=description,
                is_enabled=is_enabled,
            )
            await transaction.fetch(_ADD_SECRET, endpoint_id=row["endpoint_id"], secret=secret)
        return PublishedWebhookEndpoint.model_validate(row), secret

    async def change(
        self, endpoint_id: UUID, changes: Mapping[str, object]
    ) -> PublishedWebhookEndpoint | None:
        """Change columns of an endpoint; return None if there is none with this id.

        One that is enabled again gets at once what it has not accepted.
        """
        values = {**changes, "updated_at": sa.func.now()}
        if "is_enabled" in changes:
            values["disabled_reason"] = None
        if changes.get("is_enabled"):
            values["failing_since"] = None
        update = sa.update(ENDPOINTS).where(IS_ENDPOINT).values(values).returning(ENDPOINTS)
        async with self._database.transaction() as transaction:
            was_enabled = await self._is_enabled(transaction, endpoint_id)
            if was_enabled is None:
                return None
            if changes.get("is_enabled") and not was_enabled:
                await transaction.fetch(_REDELIVER_ALL, of_endpoint=endpoint_id)
            [row] = await transaction.fetch(Statement.compile(update), of_endpoint=endpoint_id)
        return PublishedWebhookEndpoint.model_validate(row)

    async def delete(self, endpoint_id: UUID) -> bool:
        """Delete an endpoint; return False if there is none with this id.

        It disappears at once; a worker deletes its deliveries.
        """
        return bool(await self._database.fetch(_DELETE, of_endpoint=endpoint_id))

    async def rotate_secret(
        self, endpoint_id: UUID, overlap: timedelta
    ) -> tuple[str, datetime] | None:
        """Create another secret; return it, and when the one before it expires."""
        secret = _create_secret()
        async with self._database.transaction() as transaction:
            if await self._is_enabled(transaction, endpoint_id) is None:
                return None
            expired = await transaction.fetch(
                _EXPIRE_SECRETS, of_endpoint=endpoint_id, overlap=overlap
            )
            await transaction.fetch(_ADD_SECRET, endpoint_id=endpoint_id, secret=secret)
        return secret, max(row["expires_at"] for row in expired)

    async def redeliver(self, endpoint_id: UUID, message_id: str) -> bool:
        """Deliver a message again; return False if the endpoint has none with this id."""
        return bool(
            await self._database.fetch(_REDELIVER, of_endpoint=endpoint_id, of_message=message_id)
        )

    async def redeliver_failed(self, endpoint_id: UUID, since: datetime) -> int:
        """Deliver again what has failed since a time; return how many messages."""
        return len(
            await self._database.fetch(_REDELIVER_FAILED, of_endpoint=endpoint_id, since=since)
        )

    async def send_test(self, endpoint_id: UUID) -> str | None:
        """Send a test message; return its id, or None if there is no such endpoint.

        Raises:
            EndpointDisabledError: the endpoint is disabled.

        """
        message_id = f"test_{uuid4().hex}"
        async with self._database.transaction() as transaction:
            is_enabled = await self._is_enabled(transaction, endpoint_id)
            if is_enabled is None:
                return None
            if not is_enabled:
                raise EndpointDisabledError
            await transaction.fetch(_SEND_TEST, endpoint_id=endpoint_id, message_id=message_id)
        return message_id

    async def _is_enabled(self, transaction: Transaction, endpoint_id: UUID) -> bool | None:
        """Return whether an endpoint is enabled, and lock it; None if there is none."""
        rows = await transaction.fetch(_FIND, of_endpoint=endpoint_id)
        return bool(rows[0]["is_enabled"]) if rows else None


def _create_secret() -> str:
    """Return a signing secret in the form of Standard Webhooks."""
    return f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"
