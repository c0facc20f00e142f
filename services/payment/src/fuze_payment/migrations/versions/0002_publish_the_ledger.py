"""Let the gateway read the ledger of an order's payments."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE VIEW payments.published_ledger_entries AS
        SELECT e.id AS position, e.journal_id, e.payment_id, p.order_id, e.account,
               e.debit_minor, e.credit_minor, e.currency::text AS currency, e.recorded_at
        FROM payments.ledger_entries AS e JOIN payments.payments AS p ON p.id = e.payment_id
    """)
    op.execute("GRANT SELECT ON payments.published_ledger_entries TO fuze_gateway")
