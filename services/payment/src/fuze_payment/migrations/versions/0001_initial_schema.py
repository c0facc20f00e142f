"""Payments: one row a token, at most one live charge an order."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE payments.payments (
            id uuid CONSTRAINT payments_pkey PRIMARY KEY,
            payment_token text NOT NULL CONSTRAINT payments_payment_token_key UNIQUE,
            order_id uuid NOT NULL,
            amount_minor bigint NOT NULL
                CONSTRAINT payments_amount_check CHECK (amount_minor >= 0),
            currency char(3) NOT NULL
                CONSTRAINT payments_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
            payment_method text,
            state text NOT NULL
                CONSTRAINT payments_state_check
                CHECK (state IN ('claimed', 'charged', 'declined')),
            provider_reference text CONSTRAINT payments_provider_reference_key UNIQUE,
            decline_code text,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT payments_decline_code_check
                CHECK ((state = 'declined') = (decline_code IS NOT NULL)),
            CONSTRAINT payments_provider_reference_check CHECK (
                state <> 'charged' OR amount_minor = 0 OR provider_reference IS NOT NULL
            )
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX payments_one_live_charge_per_order
        ON payments.payments (order_id) WHERE state <> 'declined'
    """)
    op.execute("GRANT SELECT, INSERT, UPDATE ON payments.payments TO fuze_payment")
