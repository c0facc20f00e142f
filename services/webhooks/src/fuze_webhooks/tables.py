"""The webhooks service's tables, in PostgreSQL's schema `webhooks`."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    column,
    func,
    literal_column,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from fuze_contracts.read_models import EVENT_FEED_VIEW
from fuze_contracts.webhooks import WebhookDeliveryState, WebhookDisabledReason
from fuze_runtime.database_check import SchemaAccess

metadata = MetaData(
    schema="webhooks",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

DATABASE_ACCESS = SchemaAccess(
    package="fuze_webhooks",
    schema="webhooks",
    grants={
        "webhooks.endpoints": "SELECT, UPDATE, DELETE",
        "webhooks.secrets": "SELECT, DELETE",
        "webhooks.deliveries": "SELECT, INSERT, UPDATE, DELETE",
        EVENT_FEED_VIEW: "SELECT",
    },
)


def _check_enum(
    column: str, values: type[WebhookDeliveryState | WebhookDisabledReason]
) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _time(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True))


def _time_now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("url", Text, nullable=False),
    Column("event_types", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    Column("description", Text, nullable=False, server_default=text("''::text")),
    Column("is_enabled", Boolean, nullable=False, server_default=text("true")),
    Column("disabled_reason", Text),
    _time("failing_since"),
    # The first event is of a transaction that was open, or had not begun, at the insert.
    Column(
        "cursor_transaction_id",
        BigInteger,
        nullable=False,
        server_default=text("pg_snapshot_xmin(pg_current_snapshot())::text::bigint"),
    ),
    Column("cursor_position", BigInteger, nullable=False, server_default=text("0")),
    _time("checked_at"),
    _time_now("created_at"),
    _time_now("updated_at"),
    _time("deleted_at"),
    CheckConstraint("url ~ '^https?://'", name="url"),
    _check_enum("disabled_reason", WebhookDisabledReason),
    CheckConstraint("NOT is_enabled OR disabled_reason IS NULL", name="disabled"),
)
"""Where events are sent. No event types are all types.

The cursor is the position in the feed up to which events are in `deliveries`. `checked_at` is when
the endpoint's workflow last began a batch.
"""

secrets = Table(
    "secrets",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("endpoint_id", ForeignKey(endpoints.c.id, ondelete="CASCADE"), nullable=False),
    Column("secret", Text, nullable=False),
    _time_now("created_at"),
    _time("expires_at"),
    CheckConstraint("secret LIKE 'whsec_%'", name="secret"),
    Index(None, "endpoint_id"),
)
"""Signing secrets. One that was replaced signs beside the new one until it expires."""

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("endpoint_id", ForeignKey(endpoints.c.id, ondelete="CASCADE"), nullable=False),
    Column("message_id", Text, nullable=False),
    Column("order_id", Uuid),
    Column("seq", Integer),
    Column("event_type", Text, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'pending'::text")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _time_now("next_attempt_at"),
    Column("fencing_token", Integer, nullable=False, server_default=text("0")),
    _time_now("lease_expires_at"),
    _time("last_attempted_at"),
    Column("response_status", Integer),
    Column("response_body", Text),
    Column("error", Text),
    _time_now("created_at"),
    _time("delivered_at"),
    _check_enum("state", WebhookDeliveryState),
    CheckConstraint("(order_id IS NULL) = (seq IS NULL)", name="event"),
    CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="delivered"),
    UniqueConstraint("endpoint_id", "message_id"),
    UniqueConstraint("endpoint_id", "order_id", "seq"),
    Index(None, "endpoint_id", "id"),
    Index(
        "deliveries_pending_idx",
        "endpoint_id",
        "next_attempt_at",
        postgresql_where=text("state = 'pending'"),
    ),
    Index("deliveries_failed_idx", "endpoint_id", "id", postgresql_where=text("state = 'failed'")),
    Index(
        "deliveries_delivered_idx",
        "endpoint_id",
        "delivered_at",
        postgresql_where=text("state = 'delivered'"),
    ),
)
"""One row for each event at each endpoint, and for each test message, which has no order.

It has no copy of the event, whose details may be personal.
"""

# Written out, as a parameter would not match the predicate of an index.
IS_PENDING = deliveries.c.state == literal_column(f"'{WebhookDeliveryState.PENDING}'")
IS_FAILED = deliveries.c.state == literal_column(f"'{WebhookDeliveryState.FAILED}'")
IS_DELIVERED = deliveries.c.state == literal_column(f"'{WebhookDeliveryState.DELIVERED}'")

_feed_schema, _, _feed_view = EVENT_FEED_VIEW.partition(".")
event_feed = table(
    _feed_view,
    column("order_id", Uuid()),
    column("seq", Integer()),
    column("type", Text()),
    column("status", Text()),
    column("payment_status", Text()),
    column("actor", Text()),
    column("details", JSONB()),
    column("occurred_at", DateTime(timezone=True)),
    column("transaction_id", BigInteger()),
    column("position", BigInteger()),
    schema=_feed_schema,
)
"""The columns of the order service's feed of events that this service may read."""
