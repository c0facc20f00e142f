"""The shipping service's table, in PostgreSQL's schema `shipping`."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from fuze_contracts.shipping import DeliveryStatus
from fuze_runtime.database_check import SchemaAccess
from fuze_shipping.messages import ShipmentState

_DELIVERY_STATUSES = ", ".join(f"'{status}'" for status in DeliveryStatus)
_STATES = ", ".join(f"'{state}'" for state in ShipmentState)

metadata = MetaData(
    schema="shipping",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

DATABASE_ACCESS = SchemaAccess(
    package="fuze_shipping",
    schema="shipping",
    grants={
        "shipping.shipments": "SELECT, INSERT, UPDATE",
    },
)

shipments = Table(
    "shipments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("order_id", Uuid, nullable=False, unique=True),
    Column("request_number", Integer, nullable=False, server_default=text("0")),
    Column("state", Text, nullable=False),
    Column("dispatch_attempt", Integer, nullable=False, server_default=text("0")),
    Column("address", JSONB),
    Column("items", JSONB),
    Column("carrier_reference", Text, unique=True),
    Column("carrier", Text),
    Column("tracking_number", Text, unique=True),
    Column("rejection_code", Text),
    Column("delivery_status", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("dispatched_at", DateTime(timezone=True)),
    Column("submitted_at", DateTime(timezone=True)),
    Column("given_up_at", DateTime(timezone=True)),
    CheckConstraint(f"state IN ({_STATES})", name="state"),
    CheckConstraint(
        "CASE state WHEN 'cancelled' THEN true WHEN 'prepared' THEN address IS NOT NULL"
        " ELSE num_nulls(address, items) = 0 END",
        name="requested",
    ),
    CheckConstraint("jsonb_typeof(address -> 'country') = 'string'", name="address"),
    CheckConstraint("jsonb_typeof(items) = 'array'", name="items"),
    CheckConstraint("(state = 'rejected') = (rejection_code IS NOT NULL)", name="rejected"),
    CheckConstraint(
        "(state = 'dispatched') = (tracking_number IS NOT NULL) "
        "AND (carrier IS NULL) = (tracking_number IS NULL) "
        "AND (dispatched_at IS NULL) = (tracking_number IS NULL)",
        name="dispatched",
    ),
    CheckConstraint(
        "delivery_status IS NULL OR (state = 'dispatched' "
        f"AND delivery_status IN ({_DELIVERY_STATUSES}))",
        name="delivery_status",
    ),
)
"""One row per order. `id` is the idempotency key of the requests to the carrier.

`request_number` is that of the latest request to dispatch it: a rejected address is submitted again
only for a higher one.

`submitted_at` is the last request that may have had an effect. `given_up_at` is when such a request
counted as without effect, because the carrier did not have the parcel after the settle window.

`carrier_reference` is the carrier's own id of the parcel to the present address, committed before
the parcel is submitted. Carriers that have an idempotency key in its place leave it null.

A shipment whose address was changed before its first dispatch has no items yet, and one that was
cancelled before has no address either.
"""
