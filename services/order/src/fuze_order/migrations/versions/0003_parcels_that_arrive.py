"""Orders that follow their parcel until it has arrived, or has come back."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATUSES = (
    "'received', 'awaiting_approval', 'approved', 'awaiting_payment_method', 'paid', 'preparing', "
    "'awaiting_address', 'cancelling', 'shipped', 'delivered', 'returned', 'rejected', 'expired', "
    "'payment_declined', 'cancelled'"
)
_EVENT_TYPES = (
    "'order_received', 'order_validated', 'order_rejected', 'address_changed', "
    "'address_change_rejected', 'approval_reminder_sent', 'order_approved', "
    "'order_expired', 'order_cancelled', 'payment_charged', 'payment_declined', "
    "'payment_method_changed', 'payment_abandoned', 'shipping_started', "
    "'carrier_rejected_address', 'order_shipped', 'order_delivered', 'order_returned', "
    "'cancellation_started', 'payment_refunded', 'payment_voided', 'needs_attention', "
    "'retry_requested'"
)


def upgrade() -> None:
    _widen("orders", "status", _STATUSES)
    _widen("events", "status", _STATUSES)
    _widen("events", "type", _EVENT_TYPES)


def _widen(table: str, column: str, values: str) -> None:
    name = f"{table}_{column}_check"
    op.execute(
        f"ALTER TABLE orders.{table} DROP CONSTRAINT {name},"
        f" ADD CONSTRAINT {name} CHECK ({column} IN ({values}))"
    )
