"""The money protocol: leases, what was sent when, refunds, and the ledger."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LEASE = """
    fencing_token integer NOT NULL DEFAULT 0,
    lease_expires_at timestamptz NOT NULL DEFAULT now(),
    first_submitted_at timestamptz,
    last_submitted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
"""


def upgrade() -> None:
    op.execute("""
        ALTER TABLE payments.payments
            DROP CONSTRAINT payments_state_check,
            ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0,
            ADD COLUMN void_requested boolean NOT NULL DEFAULT false,
            ADD COLUMN fencing_token integer NOT NULL DEFAULT 0,
            ADD COLUMN lease_expires_at timestamptz NOT NULL DEFAULT now(),
            ADD COLUMN first_submitted_at timestamptz,
            ADD COLUMN last_submitted_at timestamptz
    """)
    # A claim of the first version may or may not have been sent; that is what unknown means.
    op.execute("""
        UPDATE payments.payments
        SET state = CASE state WHEN 'claimed' THEN 'unknown' ELSE state END,
            first_submitted_at = created_at, last_submitted_at = updated_at
    """)
    op.execute("""
        ALTER TABLE payments.payments
            ADD CONSTRAINT payments_state_check CHECK (
                state IN ('created', 'submitted', 'unknown', 'under_review', 'charged', 'declined',
                'voided')
            ),
            ADD CONSTRAINT payments_refunded_check
                CHECK (refunded_minor BETWEEN 0 AND amount_minor),
            ADD CONSTRAINT payments_refunded_when_charged_check
                CHECK (refunded_minor = 0 OR state = 'charged'),
            ADD CONSTRAINT payments_sent_check CHECK (
                state IN ('created', 'voided') OR first_submitted_at IS NOT NULL OR amount_minor = 0
            )
    """)
    op.execute("DROP INDEX payments.payments_one_live_charge_per_order")
    op.execute("""
        CREATE UNIQUE INDEX payments_one_live_charge_per_order
        ON payments.payments (order_id) WHERE state NOT IN ('declined', 'voided') AND NOT
        void_requested
    """)
    op.execute("CREATE INDEX payments_order_id_idx ON payments.payments (order_id)")
    op.execute(f"""
        CREATE TABLE payments.refunds (
            id uuid CONSTRAINT refunds_pkey PRIMARY KEY,
            payment_id uuid NOT NULL
                CONSTRAINT refunds_payment_id_fkey REFERENCES payments.payments (id),
            amount_minor bigint NOT NULL CONSTRAINT refunds_amount_check CHECK (amount_minor > 0),
            reason text NOT NULL,
            state text NOT NULL CONSTRAINT refunds_state_check
                CHECK (state IN ('created', 'submitted', 'unknown', 'refunded', 'rejected')),
            provider_reference text CONSTRAINT refunds_provider_reference_key UNIQUE,
            rejection_code text,
            {_LEASE},
            CONSTRAINT refunds_rejection_code_check
                CHECK ((state = 'rejected') = (rejection_code IS NOT NULL)),
            CONSTRAINT refunds_provider_reference_check
                CHECK ((state = 'refunded') = (provider_reference IS NOT NULL))
        )
    """)
    op.execute("CREATE INDEX refunds_payment_id_idx ON payments.refunds (payment_id)")
    op.execute("""
        CREATE TABLE payments.ledger_entries (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT ledger_entries_pkey PRIMARY KEY,
            journal_id uuid NOT NULL,
            payment_id uuid NOT NULL
                CONSTRAINT ledger_entries_payment_id_fkey REFERENCES payments.payments (id),
            account text NOT NULL CONSTRAINT ledger_entries_account_check
                CHECK (account IN ('provider', 'sales')),
            debit_minor bigint NOT NULL DEFAULT 0,
            credit_minor bigint NOT NULL DEFAULT 0,
            currency char(3) NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT ledger_entries_journal_id_account_key UNIQUE (journal_id, account),
            CONSTRAINT ledger_entries_one_side_check CHECK (
                debit_minor >= 0 AND credit_minor >= 0 AND (debit_minor = 0) <> (credit_minor = 0)
            )
        )
    """)
    op.execute("CREATE INDEX ledger_entries_payment_id_idx ON payments.ledger_entries (payment_id)")
    op.execute("""
        CREATE FUNCTION payments.refuse_unbalanced_posting() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            IF (SELECT sum(debit_minor) <> sum(credit_minor) OR count(DISTINCT currency) <> 1
                FROM payments.ledger_entries WHERE journal_id = NEW.journal_id) THEN
                RAISE EXCEPTION 'posting % does not balance', NEW.journal_id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE CONSTRAINT TRIGGER ledger_entries_balance
        AFTER INSERT ON payments.ledger_entries DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION payments.refuse_unbalanced_posting()
    """)
    op.execute("""
        INSERT INTO payments.ledger_entries
            (journal_id, payment_id, account, debit_minor, credit_minor, currency)
        SELECT id, id, account, CASE account WHEN 'provider' THEN amount_minor ELSE 0 END,
               CASE account WHEN 'sales' THEN amount_minor ELSE 0 END, currency
        FROM payments.payments, unnest(ARRAY['provider', 'sales']) AS account
        WHERE state = 'charged' AND amount_minor > 0
    """)
    op.execute("""
        CREATE VIEW payments.balances AS
        SELECT currency, account, sum(debit_minor)::bigint AS debit_minor,
               sum(credit_minor)::bigint AS credit_minor,
               sum(debit_minor - credit_minor)::bigint AS balance_minor
        FROM payments.ledger_entries GROUP BY currency, account
    """)
    op.execute("GRANT SELECT, INSERT, UPDATE ON payments.refunds TO fuze_payment")
    op.execute("GRANT SELECT, INSERT ON payments.ledger_entries TO fuze_payment")
    op.execute("GRANT SELECT ON payments.balances TO fuze_payment")
