"""Payments, refunds, the ledger, discrepancies, and the views that others may read."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPERATION_COLUMNS = """
    fencing_token integer NOT NULL DEFAULT 0,
    lease_expires_at timestamptz NOT NULL DEFAULT now(),
    first_submitted_at timestamptz,
    last_submitted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
"""


def upgrade() -> None:
    _create_payments()
    _create_refunds()
    _create_ledger()
    _create_discrepancies()
    _publish_views()


def _create_payments() -> None:
    op.execute(f"""
        CREATE TABLE payments.payments (
            id uuid CONSTRAINT payments_pkey PRIMARY KEY,
            payment_token text NOT NULL,
            order_id uuid NOT NULL,
            amount_minor bigint NOT NULL
                CONSTRAINT payments_amount_check CHECK (amount_minor >= 0),
            currency char(3) NOT NULL
                CONSTRAINT payments_currency_check CHECK (currency ~ '^[A-Z]{{3}}$'),
            payment_method text,
            state text NOT NULL CONSTRAINT payments_state_check CHECK (
                state IN ('created', 'submitted', 'unknown', 'under_review',
                          'charged', 'declined', 'voided')
            ),
            provider_reference text CONSTRAINT payments_provider_reference_key UNIQUE,
            decline_code text,
            refunded_minor bigint NOT NULL DEFAULT 0,
            void_requested boolean NOT NULL DEFAULT false,
            {_OPERATION_COLUMNS},
            CONSTRAINT payments_order_id_payment_token_key UNIQUE (order_id, payment_token),
            CONSTRAINT payments_decline_code_check
                CHECK ((state = 'declined') = (decline_code IS NOT NULL)),
            CONSTRAINT payments_provider_reference_check CHECK (
                state <> 'charged' OR amount_minor = 0 OR provider_reference IS NOT NULL
            ),
            CONSTRAINT payments_refunded_check
                CHECK (refunded_minor BETWEEN 0 AND amount_minor),
            CONSTRAINT payments_refunded_when_charged_check
                CHECK (refunded_minor = 0 OR state = 'charged'),
            CONSTRAINT payments_submitted_check CHECK (
                state IN ('created', 'voided') OR first_submitted_at IS NOT NULL OR amount_minor = 0
            )
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX payments_one_live_charge_per_order ON payments.payments (order_id)
        WHERE state NOT IN ('declined', 'voided') AND NOT void_requested
    """)
    op.execute("GRANT SELECT, INSERT, UPDATE ON payments.payments TO fuze_payment")


def _create_refunds() -> None:
    op.execute(f"""
        CREATE TABLE payments.refunds (
            id uuid CONSTRAINT refunds_pkey PRIMARY KEY,
            payment_id uuid NOT NULL
                CONSTRAINT refunds_payment_id_fkey REFERENCES payments.payments (id),
            amount_minor bigint NOT NULL,
            lines jsonb NOT NULL DEFAULT '[]'
                CONSTRAINT refunds_lines_check CHECK (jsonb_typeof(lines) = 'array'),
            reason text,
            actor text NOT NULL,
            fingerprint text,
            state text NOT NULL CONSTRAINT refunds_state_check
                CHECK (state IN ('created', 'submitted', 'unknown', 'refunded', 'rejected')),
            provider_reference text CONSTRAINT refunds_provider_reference_key UNIQUE,
            rejection_code text,
            is_reported boolean NOT NULL DEFAULT true,
            {_OPERATION_COLUMNS},
            CONSTRAINT refunds_amount_check CHECK (amount_minor > 0 OR state = 'rejected'),
            CONSTRAINT refunds_rejection_code_check
                CHECK ((state = 'rejected') = (rejection_code IS NOT NULL)),
            CONSTRAINT refunds_provider_reference_check
                CHECK ((state = 'refunded') = (provider_reference IS NOT NULL))
        )
    """)
    op.execute("CREATE INDEX refunds_payment_id_idx ON payments.refunds (payment_id)")
    op.execute(
        "CREATE INDEX refunds_unreported_idx ON payments.refunds (updated_at) WHERE NOT is_reported"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON payments.refunds TO fuze_payment")


def _create_ledger() -> None:
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
        CREATE FUNCTION payments.check_journal_balance() RETURNS trigger
        LANGUAGE plpgsql AS $$
        BEGIN
            IF (SELECT sum(debit_minor) <> sum(credit_minor) OR count(DISTINCT currency) <> 1
                FROM payments.ledger_entries WHERE journal_id = NEW.journal_id) THEN
                RAISE EXCEPTION 'journal % does not balance', NEW.journal_id
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE CONSTRAINT TRIGGER ledger_entries_journal_balance
        AFTER INSERT ON payments.ledger_entries DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION payments.check_journal_balance()
    """)
    op.execute("""
        CREATE VIEW payments.balances AS
        SELECT currency, account, sum(debit_minor)::bigint AS debit_minor,
               sum(credit_minor)::bigint AS credit_minor,
               sum(debit_minor - credit_minor)::bigint AS balance_minor
        FROM payments.ledger_entries GROUP BY currency, account
    """)
    op.execute("GRANT SELECT, INSERT ON payments.ledger_entries TO fuze_payment")
    op.execute("GRANT SELECT ON payments.balances TO fuze_payment")


def _create_discrepancies() -> None:
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
    op.execute("GRANT SELECT, INSERT, UPDATE ON payments.discrepancies TO fuze_payment")


def _publish_views() -> None:
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
               r.created_at, r.updated_at, r.actor, r.lines, r.fingerprint
        FROM payments.refunds AS r JOIN payments.payments AS p ON p.id = r.payment_id
        -- A refused request is not a refund.
        WHERE r.state <> 'rejected' OR r.first_submitted_at IS NOT NULL
    """)
    op.execute("""
        CREATE VIEW payments.published_discrepancies AS
        SELECT kind, reference, order_id, occurred_at, details, first_seen_at, last_seen_at
        FROM payments.discrepancies WHERE resolved_at IS NULL
    """)
    op.execute("GRANT USAGE ON SCHEMA payments TO fuze_gateway")
    op.execute("""
        GRANT SELECT ON payments.published_payments, payments.published_refunds,
                        payments.published_discrepancies
        TO fuze_gateway
    """)
