"""Let the webhooks service read the feed of events, without the owners of the orders."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("GRANT USAGE ON SCHEMA orders TO fuze_webhooks")
    op.execute(
        "GRANT SELECT (order_id, seq, type, status, payment_status, actor, details, occurred_at,"
        " transaction_id, position) ON orders.published_event_feed TO fuze_webhooks"
    )
