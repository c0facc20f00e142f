"""The payment service's tables, in PostgreSQL's schema `payments`."""

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

from fuze_runtime.database_check import SchemaAccess

metadata = MetaData(
    schema="payments",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)

DATABASE_ACCESS = SchemaAccess(
    package="fuze_payment",
    schema="payments",
    grants={
        "payments.payments": "SELECT, INSERT, UPDATE",
        "payments.refunds": "SELECT, INSERT, UPDATE",
        "payments.ledger_entries": "SELECT, INSERT",
        "payments.balances": "SELECT",
        "payments.discrepancies": "SELECT, INSERT, UPDATE",
    },
)


def _operation_columns() -> list[Column[object]]:
    """Return the columns of a provider operation: its lease and when requests were sent."""
    return [
        Column("fencing_token", Integer, nullable=False, server_default=text("0")),
        Column(
            "lease_expires_at", DateTime(timezone=True), nullable=False, server_default=func.now()
        ),
        Column("first_submitted_at", DateTime(timezone=True)),
        Column("last_submitted_at", DateTime(timezone=True)),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    ]


payments = Table(
    "payments",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payment_token", Text, nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("currency", CHAR(3), nullable=False),
    Column("payment_method", Text),
    Column("state", Text, nullable=False),
    Column("provider_reference", Text, unique=True),
    Column("decline_code", Text),
    Column("refunded_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("void_requested", Boolean, nullable=False, server_default=text("false")),
    *_operation_columns(),
    CheckConstraint(
        "state IN ('created', 'submitted', 'unknown', 'under_review', "
        "'charged', 'declined', 'voided')",
        name="state",
    ),
    CheckConstraint("amount_minor >= 0", name="amount"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("(state = 'declined') = (decline_code IS NOT NULL)", name="decline_code"),
    CheckConstraint(
        "state <> 'charged' OR amount_minor = 0 OR provider_reference IS NOT NULL",
        name="provider_reference",
    ),
    CheckConstraint("refunded_minor BETWEEN 0 AND amount_minor", name="refunded"),
    CheckConstraint("refunded_minor = 0 OR state = 'charged'", name="refunded_when_charged"),
    CheckConstraint(
        "state IN ('created', 'voided') OR first_submitted_at IS NOT NULL OR amount_minor = 0",
        name="submitted",
    ),
    Index(
        "payments_one_live_charge_per_order",
        "order_id",
        unique=True,
        postgresql_where=text("state NOT IN ('declined', 'voided') AND NOT void_requested"),
    ),
    UniqueConstraint("order_id", "payment_token"),
)
"""One row for each payment token of an order. `id` is the provider's idempotency key.

`refunded_minor` is the sum of all refunds that succeeded or are open. With `void_requested` nothing
is kept: a late capture is refunded.
"""

refunds = Table(
    "refunds",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("payment_id", ForeignKey(payments.c.id), nullable=False, index=True),
    Column("amount_minor", BigInteger, nullable=False),
    Column("lines", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("reason", Text),
    Column("actor", Text, nullable=False),
    Column("fingerprint", Text),
    Column("state", Text, nullable=False),
    Column("provider_reference", Text, unique=True),
    Column("rejection_code", Text),
    Column("is_reported", Boolean, nullable=False, server_default=text("true")),
    *_operation_columns(),
    CheckConstraint(
        "state IN ('created', 'submitted', 'unknown', 'refunded', 'rejected')", name="state"
    ),
    CheckConstraint("amount_minor > 0 OR state = 'rejected'", name="amount"),
    CheckConstraint("jsonb_typeof(lines) = 'array'", name="lines"),
    CheckConstraint("(state = 'rejected') = (rejection_code IS NOT NULL)", name="rejection_code"),
    CheckConstraint(
        "(state = 'refunded') = (provider_reference IS NOT NULL)", name="provider_reference"
    ),
    Index("refunds_unreported_idx", "updated_at", postgresql_where=text("NOT is_reported")),
)
"""One row for each refund. `id` is the provider's idempotency key.

A refund that was refused is rejected without a request to the provider: the refusal is final for
its id, also after a reset of its workflow. A requested refund is not `is_reported` until its order
has the outcome as an event.
"""

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("journal_id", Uuid, nullable=False),
    Column("payment_id", ForeignKey(payments.c.id), nullable=False, index=True),
    Column("account", Text, nullable=False),
    Column("debit_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("credit_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("currency", CHAR(3), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("account IN ('provider', 'sales')", name="account"),
    CheckConstraint(
        "debit_minor >= 0 AND credit_minor >= 0 AND (debit_minor = 0) <> (credit_minor = 0)",
        name="one_side",
    ),
    UniqueConstraint("journal_id", "account"),
)
"""Double entry, append-only. `journal_id` is the payment's id for a capture and the refund's id for
a refund, so that neither is posted twice. A deferred trigger rejects an unbalanced journal.
"""

discrepancies = Table(
    "discrepancies",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("order_id", Uuid),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("details", JSONB, nullable=False),
    Column("first_seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("last_seen_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("resolved_at", DateTime(timezone=True)),
    CheckConstraint("jsonb_typeof(details) = 'object'", name="details"),
)
"""Differences between the provider's records and ours; resolved when no longer found."""
