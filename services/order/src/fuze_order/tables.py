"""The order service's tables, in PostgreSQL's schema `orders`."""

from sqlalchemy import (
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
    func,
    text,
)
from sqlalchemy.dialects.postgresql import CHAR, JSONB

from fuze_contracts.order_lines import AdjustmentKind
from fuze_contracts.order_states import EventType, OrderStatus, PaymentStatus
from fuze_contracts.returns import ReturnStatus
from fuze_order.messages import DiscrepancyKind
from fuze_runtime.database_check import SchemaAccess

metadata = MetaData(
    schema="orders",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

DATABASE_ACCESS = SchemaAccess(
    package="fuze_order",
    schema="orders",
    grants={
        "orders.orders": "SELECT, INSERT, UPDATE",
        "orders.order_lines": "SELECT, INSERT",
        "orders.order_adjustments": "SELECT, INSERT",
        "orders.events": "SELECT, INSERT",
        "orders.returns": "SELECT, INSERT, UPDATE",
        "orders.return_lines": "SELECT, INSERT",
        "orders.discrepancies": "SELECT, INSERT, UPDATE",
    },
)


def _check_enum(
    column: str,
    values: type[
        OrderStatus | PaymentStatus | EventType | DiscrepancyKind | AdjustmentKind | ReturnStatus
    ],
) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


_TERMINAL = ", ".join(f"'{status}'" for status in OrderStatus if status.is_terminal)
TERMINAL_PREDICATE = f"status IN ({_TERMINAL})"
OPEN_AFTER_SHIPMENT_PREDICATE = (
    "tracking_deadline IS NOT NULL AND status = 'shipped'"
    " OR payment_status = 'refunding' AND status = 'returned'"
)

orders = Table(
    "orders",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("payment_status", Text, nullable=False),
    Column("reason", Text),
    Column("customer", Text),
    Column("customer_email", Text),
    Column("customer_name", Text),
    Column("reference", Text),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("owner", Text),
    Column("trace_id", Text),
    Column("currency", CHAR(3), nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    # The subtotal follows from these and the total.
    Column("discount_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("shipping_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("tax_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("fee_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("payment_method", Text),
    Column("payment_token", Text, nullable=False),
    Column("address", JSONB(none_as_null=True)),
    Column("billing_address", JSONB(none_as_null=True)),
    Column("tracking_number", Text),
    Column("needs_attention", Boolean, nullable=False, server_default=text("false")),
    Column("tracking_deadline", DateTime(timezone=True)),
    Column("workflow_missing_at", DateTime(timezone=True)),
    Column("workflow_failing_since", DateTime(timezone=True)),
    Column("last_seq", Integer, nullable=False),
    Column("approval_deadline", DateTime(timezone=True), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    _check_enum("status", OrderStatus),
    _check_enum("payment_status", PaymentStatus),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("total_minor >= 0", name="total"),
    CheckConstraint(
        "least(discount_minor, shipping_minor, tax_minor, fee_minor) >= 0", name="breakdown"
    ),
    CheckConstraint("jsonb_typeof(metadata) = 'object'", name="metadata"),
    CheckConstraint("last_seq >= 1", name="last_seq"),
    CheckConstraint("jsonb_typeof(address -> 'country') = 'string'", name="address"),
    CheckConstraint(
        "jsonb_typeof(billing_address -> 'country') = 'string'", name="billing_address"
    ),
    CheckConstraint(
        "status <> 'shipped' OR (payment_status IN ('charged', 'partially_refunded', 'refunded')"
        " AND tracking_number IS NOT NULL)",
        name="shipped",
    ),
    CheckConstraint(
        "status <> 'completed' OR payment_status NOT IN ('none', 'pending', 'declined')",
        name="completed",
    ),
    # For the gateway's lists: newest first, page by page.
    Index(None, "created_at", "id"),
    Index(None, "status", "created_at", "id"),
    Index(None, "customer", "created_at", "id"),
    Index(None, "owner", "created_at", "id"),
    Index(None, "updated_at", "id"),
    Index(None, "owner", "updated_at", "id"),
    Index(None, "reference", "created_at", "id"),
    Index(
        "orders_needs_attention_idx", "created_at", "id", postgresql_where=text("needs_attention")
    ),
    # For the reconciliation. The index of statuses above has the other open orders.
    Index(
        "orders_open_after_shipment_idx",
        "id",
        postgresql_where=text(OPEN_AFTER_SHIPMENT_PREDICATE),
    ),
    Index(
        "orders_workflow_failing_idx",
        "id",
        postgresql_where=text("workflow_failing_since IS NOT NULL"),
    ),
    Index("orders_ended_idx", "updated_at", "id", postgresql_where=text(TERMINAL_PREDICATE)),
    Index(
        "orders_customer_prefix_idx",
        text("lower(customer)"),
        postgresql_ops={"lower(customer)": "text_pattern_ops"},
    ),
)

order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", ForeignKey(orders.c.id), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("line_id", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("name", Text),
    Column("quantity", Integer, nullable=False),
    Column("unit_price_minor", BigInteger, nullable=False),
    Column("discount_minor", BigInteger, nullable=False),
    Column("tax_minor", BigInteger, nullable=False),
    Column("requires_shipping", Boolean, nullable=False),
    CheckConstraint("position >= 1", name="position"),
    UniqueConstraint("order_id", "line_id"),
)
"""The lines as ordered: those of a rejected order are stored, too."""

order_adjustments = Table(
    "order_adjustments",
    metadata,
    Column("order_id", ForeignKey(orders.c.id), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    CheckConstraint("position >= 1", name="position"),
    _check_enum("kind", AdjustmentKind),
)
"""Discounts, shipping, taxes and fees of the whole order."""

events = Table(
    "events",
    metadata,
    Column("order_id", ForeignKey(orders.c.id), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("payment_status", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # The order of the feed of all events: a bare sequence is assigned before the commit.
    Column(
        "transaction_id",
        BigInteger,
        nullable=False,
        server_default=text("pg_current_xact_id()::text::bigint"),
    ),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    UniqueConstraint("transaction_id", "position"),
    CheckConstraint("seq >= 1", name="seq"),
    _check_enum("type", EventType),
    _check_enum("status", OrderStatus),
    _check_enum("payment_status", PaymentStatus),
    CheckConstraint("jsonb_typeof(details) = 'object'", name="details"),
)
"""An order's timeline, append-only: the service's role may only INSERT and SELECT."""

returns = Table(
    "returns",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("order_id", ForeignKey(orders.c.id), nullable=False),
    Column("status", Text, nullable=False),
    Column("include_shipping", Boolean, nullable=False),
    Column("reason", Text),
    Column("actor", Text, nullable=False),
    Column("fingerprint", Text),
    Column("amount_minor", BigInteger),
    Column("refund_code", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    _check_enum("status", ReturnStatus),
    CheckConstraint(
        "CASE status WHEN 'refunded' THEN amount_minor >= 0 ELSE amount_minor IS NULL END",
        name="amount",
    ),
    Index(None, "order_id", "created_at"),
    # For the reconciliation, which resumes them.
    Index("returns_received_idx", "updated_at", postgresql_where=text("status = 'received'")),
)
"""A return's id is also that of its refund."""

return_lines = Table(
    "return_lines",
    metadata,
    Column("return_id", ForeignKey(returns.c.id), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("line_id", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    CheckConstraint("position >= 1", name="position"),
    CheckConstraint("quantity >= 1", name="quantity"),
    UniqueConstraint("return_id", "line_id"),
)

discrepancies = Table(
    "discrepancies",
    metadata,
    Column("order_id", ForeignKey(orders.c.id), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("first_seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("resolved_at", DateTime(timezone=True)),
    _check_enum("kind", DiscrepancyKind),
    CheckConstraint("jsonb_typeof(details) = 'object'", name="details"),
    Index("discrepancies_open_idx", "first_seen_at", postgresql_where=text("resolved_at IS NULL")),
)
"""What the other services have, and an order's status does not allow."""
