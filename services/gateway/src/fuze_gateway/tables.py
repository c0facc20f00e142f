"""The gateway's own tables, in the schema `gateway`."""

from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    func,
    text,
)

from fuze_contracts import read_models, webhooks
from fuze_runtime.database_check import SchemaAccess

metadata = MetaData(
    schema="gateway",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

_PUBLISHED_VIEWS = (
    read_models.ORDERS_VIEW,
    read_models.EVENTS_VIEW,
    read_models.EVENT_FEED_VIEW,
    read_models.RETURNS_VIEW,
    read_models.PAYMENTS_VIEW,
    read_models.REFUNDS_VIEW,
    read_models.LEDGER_VIEW,
    read_models.DISCREPANCIES_VIEW,
    read_models.ORDER_DISCREPANCIES_VIEW,
)

DATABASE_ACCESS = SchemaAccess(
    package="fuze_gateway",
    schema="gateway",
    grants={"gateway.api_keys": "SELECT, INSERT, UPDATE"}
    | dict.fromkeys(_PUBLISHED_VIEWS, "SELECT")
    | dict.fromkeys(
        (
            read_models.WEBHOOK_ENDPOINTS_VIEW,
            read_models.WEBHOOK_DELIVERIES_VIEW,
            webhooks.SECRETS_TABLE,
        ),
        "SELECT, INSERT, UPDATE",
    ),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("client", Text, nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("is_development", Boolean, nullable=False, server_default=text("false")),
    Column("created_by", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True)),
    CheckConstraint("id ~ '^[0-9a-f]{12}$'", name="id"),
    CheckConstraint("client <> ''", name="client"),
    CheckConstraint("octet_length(secret_sha256) = 32", name="secret"),
    CheckConstraint("cardinality(scopes) > 0", name="scopes"),
    Index(None, "client", "created_at"),
)
"""API keys: the digest of the secret, which only the caller has."""
