"""What others may read of payments, and what the provider's books disagree with."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE payments.discrepancies (
            kind text NOT NULL,
            reference text NOT NULL,
            order_id uuid,
            occurred_at timestamptz NOT NULL,
            details jsonb NOT NULL
                CONSTRAINT discrepancies_details_check CHECK (jsonb_typeof(details) = 'object'),
            first_seen_at timestamptz NOT NULL DEFAULT now(),
            last_seen_at timestamptz NOT NULL DEFAULT now(),
            resolved_at timestamptz,
            CONSTRAINT discrepancies_pkey PRIMARY KEY (kind, reference)
        )
    """)
    op.execute("""
        CREATE VIEW payments.published_payments AS
        SELECT id AS payment_id, order_id, payment_token, state, amount_minor,
               currency::text AS currency, payment_method, provider_reference, decline_code,
               refunded_minor, created_at, updated_at
        FROM payments.payments
    """)
    op.execute("""
        CREATE VIEW payments.published_refunds AS
        SELECT r.id AS refund_id, r.payment_id, p.order_id, r.state, r.amount_minor,
               p.currency::text AS currency, r.reason, r.provider_reference, r.rejection_code,
               r.created_at, r.updated_at
        FROM payments.refunds AS r JOIN payments.payments AS p ON p.id = r.payment_id
    """)
    op.execute("""
        CREATE VIEW payments.published_discrepancies AS
        SELECT kind, reference, order_id, occurred_at, details, first_seen_at, last_seen_at
        FROM payments.discrepancies WHERE resolved_at IS NULL
    """)
    op.execute("GRANT SELECT, INSERT, UPDATE ON payments.discrepancies TO fuze_payment")
    op.execute("GRANT USAGE ON SCHEMA payments TO fuze_gateway")
    op.execute("""
        GRANT SELECT ON payments.published_payments, payments.published_refunds,
                        payments.published_discrepancies
        TO fuze_gateway
    """)
