"""Cancellation after the charge, refused addresses, steps that need attention."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATUSES = (
    "'received', 'awaiting_approval', 'approved', 'awaiting_payment_method', 'paid', 'preparing', "
    "'awaiting_address', 'cancelling', "
    "'shipped', 'rejected', 'expired', 'payment_declined', 'cancelled'"
)
_PAYMENT_STATUSES = "'none', 'pending', 'charged', 'declined', 'refunding', 'refunded'"
_EVENT_TYPES = (
    "'order_received', 'order_validated', 'order_rejected', 'address_changed', "
    "'address_change_rejected', 'approval_reminder_sent', 'order_approved', "
    "'order_expired', 'order_cancelled', 'payment_charged', 'payment_declined', "
    "'payment_method_changed', 'payment_abandoned', 'shipping_started', "
    "'carrier_rejected_address', 'order_shipped', 'cancellation_started', 'payment_refunded', "
    "'payment_voided', 'needs_attention', 'retry_requested'"
)


def upgrade() -> None:
    for table in ("orders", "events"):
        _widen(table, "status", _STATUSES)
        _widen(table, "payment_status", _PAYMENT_STATUSES)
    _widen("events", "type", _EVENT_TYPES)
    op.execute(
        "ALTER TABLE orders.orders ADD COLUMN needs_attention boolean NOT NULL DEFAULT false"
    )
    op.execute(
        "CREATE INDEX orders_needs_attention_idx ON orders.orders (created_at)"
        " WHERE needs_attention"
    )
    op.execute("""
        CREATE OR REPLACE VIEW orders.published_orders AS
        SELECT id AS order_id, status, payment_status, reason, customer, currency::text AS currency,
               total_minor, address, tracking_number, fingerprint, last_seq, created_at, updated_at,
               needs_attention
        FROM orders.orders
    """)


def _widen(table: str, column: str, values: str) -> None:
    name = f"{table}_{column}_check"
    op.execute(
        f"ALTER TABLE orders.{table} DROP CONSTRAINT {name},"
        f" ADD CONSTRAINT {name} CHECK ({column} IN ({values}))"
    )
