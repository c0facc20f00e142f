"""The payment service's table, in PostgreSQL's schema `payments`."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR

metadata = MetaData(
    schema="payments",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

payments = Table(
    "payments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payment_token", Text, nullable=False, unique=True),
    Column("order_id", Uuid, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", CHAR(3), nullable=False),
    Column("payment_method", Text),
    Column("state", Text, nullable=False),
    Column("provider_reference", Text, unique=True),
    Column("decline_code", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("state IN ('claimed', 'charged', 'declined')", name="state"),
    CheckConstraint("amount_minor >= 0", name="amount"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("(state = 'declined') = (decline_code IS NOT NULL)", name="decline_code"),
    CheckConstraint(
        "state <> 'charged' OR amount_minor = 0 OR provider_reference IS NOT NULL",
        name="provider_reference",
    ),
    Index(
        "payments_one_live_charge_per_order",
        "order_id",
        unique=True,
        postgresql_where=text("state <> 'declined'"),
    ),
)
"""One row a payment token. `id` is the idempotency key that the provider gets."""
