"""The shipping service's table, in PostgreSQL's schema `shipping`."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    schema="shipping",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

shipments = Table(
    "shipments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False, unique=True),
    Column("state", Text, nullable=False),
    Column("address", JSONB, nullable=False),
    Column("items", JSONB, nullable=False),
    Column("carrier", Text),
    Column("tracking_number", Text, unique=True),
    Column("prepared_at", DateTime(timezone=True), nullable=False),
    Column("dispatched_at", DateTime(timezone=True)),
    CheckConstraint("state IN ('prepared', 'dispatched')", name="state"),
    CheckConstraint("jsonb_typeof(address -> 'zip_code') = 'string'", name="address"),
    CheckConstraint("jsonb_typeof(items) = 'array'", name="items"),
    CheckConstraint(
        "(state = 'dispatched') = (tracking_number IS NOT NULL) "
        "AND (carrier IS NULL) = (tracking_number IS NULL) "
        "AND (dispatched_at IS NULL) = (tracking_number IS NULL)",
        name="dispatched",
    ),
)
"""One row an order. `id` is the idempotency key that the carrier gets."""
