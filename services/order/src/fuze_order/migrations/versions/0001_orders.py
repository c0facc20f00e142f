"""Orders, their lines and their events; the views that other services read."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Literal, not taken from the code: a revision is history and never changes.
_STATUSES = (
    "'received', 'awaiting_approval', 'approved', 'awaiting_payment_method', 'paid', 'preparing', "
    "'awaiting_address', 'cancelling', 'shipped', 'delivered', 'returned', 'completed', "
    "'rejected', 'expired', 'payment_declined', 'cancelled'"
)
_PAYMENT_STATUSES = (
    "'none', 'pending', 'charged', 'declined', 'refunding', 'partially_refunded', 'refunded'"
)
_EVENT_TYPES = (
    "'order_received', 'order_validated', 'order_rejected', 'address_changed', "
    "'address_change_rejected', 'approval_reminder_sent', 'order_approved', "
    "'order_expired', 'order_cancelled', 'payment_charged', 'payment_declined', "
    "'payment_method_changed', 'payment_abandoned', 'shipping_started', "
    "'carrier_rejected_address', 'order_shipped', 'order_delivered', 'order_returned', "
    "'order_completed', 'cancellation_started', 'refund_requested', 'payment_refunded', "
    "'refund_failed', 'payment_voided', 'return_requested', 'return_approved', "
    "'return_rejected', 'return_cancelled', 'return_received', 'return_refunded', "
    "'return_refund_failed', 'needs_attention', 'retry_requested', 'order_recovered'"
)
_RETURN_STATUSES = (
    "'requested', 'approved', 'rejected', 'cancelled', 'received', 'refunded', 'refund_failed'"
)


def upgrade() -> None:
    _create_tables()
    _create_returns()
    _create_discrepancies()
    _create_indexes()
    _create_views()
    op.execute("GRANT SELECT, INSERT, UPDATE ON orders.orders TO fuze_order")
    op.execute(
        "GRANT SELECT, INSERT ON orders.order_lines, orders.order_adjustments, orders.events,"
        " orders.return_lines TO fuze_order"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON orders.discrepancies, orders.returns TO fuze_order")
    op.execute("GRANT USAGE ON SCHEMA orders TO fuze_gateway")
    op.execute(
        "GRANT SELECT ON orders.published_orders, orders.published_events,"
        " orders.published_event_feed, orders.published_returns, orders.published_discrepancies"
        " TO fuze_gateway"
    )


def _create_tables() -> None:
    op.execute(f"""
        CREATE TABLE orders.orders (
            id uuid CONSTRAINT orders_pkey PRIMARY KEY,
            run_id text NOT NULL,
            fingerprint text NOT NULL,
            status text NOT NULL CONSTRAINT orders_status_check CHECK (status IN ({_STATUSES})),
            payment_status text NOT NULL
                CONSTRAINT orders_payment_status_check
                CHECK (payment_status IN ({_PAYMENT_STATUSES})),
            reason text,
            customer text,
            customer_email text,
            customer_name text,
            reference text,
            metadata jsonb NOT NULL DEFAULT '{{}}'::jsonb
                CONSTRAINT orders_metadata_check CHECK (jsonb_typeof(metadata) = 'object'),
            owner text,
            trace_id text CONSTRAINT orders_trace_id_check CHECK (trace_id ~ '^[0-9a-f]{{32}}$'),
            currency char(3) NOT NULL
                CONSTRAINT orders_currency_check CHECK (currency ~ '^[A-Z]{{3}}$'),
            total_minor bigint NOT NULL CONSTRAINT orders_total_check CHECK (total_minor >= 0),
            discount_minor bigint NOT NULL DEFAULT 0,
            shipping_minor bigint NOT NULL DEFAULT 0,
            tax_minor bigint NOT NULL DEFAULT 0,
            fee_minor bigint NOT NULL DEFAULT 0,
            CONSTRAINT orders_breakdown_check
                CHECK (least(discount_minor, shipping_minor, tax_minor, fee_minor) >= 0),
            payment_method text,
            payment_token text NOT NULL,
            address jsonb
                CONSTRAINT orders_address_check
                CHECK (jsonb_typeof(address -> 'country') = 'string'),
            billing_address jsonb
                CONSTRAINT orders_billing_address_check
                CHECK (jsonb_typeof(billing_address -> 'country') = 'string'),
            tracking_number text,
            needs_attention boolean NOT NULL DEFAULT false,
            tracking_deadline timestamptz,
            workflow_missing_at timestamptz,
            workflow_failing_since timestamptz,
            last_seq integer NOT NULL CONSTRAINT orders_last_seq_check CHECK (last_seq >= 1),
            approval_deadline timestamptz NOT NULL,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            CONSTRAINT orders_shipped_check CHECK (
                status <> 'shipped'
                OR (payment_status IN ('charged', 'partially_refunded', 'refunded')
                    AND tracking_number IS NOT NULL)
            ),
            CONSTRAINT orders_completed_check CHECK (
                status <> 'completed' OR payment_status NOT IN ('none', 'pending', 'declined')
            )
        )
    """)
    op.execute("""
        CREATE TABLE orders.order_lines (
            order_id uuid CONSTRAINT order_lines_order_id_fkey REFERENCES orders.orders (id),
            position integer CONSTRAINT order_lines_position_check CHECK (position >= 1),
            line_id text NOT NULL,
            sku text NOT NULL,
            name text,
            quantity integer NOT NULL,
            unit_price_minor bigint NOT NULL,
            discount_minor bigint NOT NULL,
            tax_minor bigint NOT NULL,
            requires_shipping boolean NOT NULL,
            CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, position),
            CONSTRAINT order_lines_order_id_line_id_key UNIQUE (order_id, line_id)
        )
    """)
    op.execute("""
        CREATE TABLE orders.order_adjustments (
            order_id uuid CONSTRAINT order_adjustments_order_id_fkey REFERENCES orders.orders (id),
            position integer CONSTRAINT order_adjustments_position_check CHECK (position >= 1),
            kind text NOT NULL CONSTRAINT order_adjustments_kind_check
                CHECK (kind IN ('discount', 'shipping', 'tax', 'fee')),
            label text NOT NULL,
            amount_minor bigint NOT NULL,
            CONSTRAINT order_adjustments_pkey PRIMARY KEY (order_id, position)
        )
    """)
    op.execute(f"""
        CREATE TABLE orders.events (
            order_id uuid CONSTRAINT events_order_id_fkey REFERENCES orders.orders (id),
            seq integer CONSTRAINT events_seq_check CHECK (seq >= 1),
            type text NOT NULL CONSTRAINT events_type_check CHECK (type IN ({_EVENT_TYPES})),
            status text NOT NULL CONSTRAINT events_status_check CHECK (status IN ({_STATUSES})),
            payment_status text NOT NULL
                CONSTRAINT events_payment_status_check
                CHECK (payment_status IN ({_PAYMENT_STATUSES})),
            actor text NOT NULL,
            details jsonb NOT NULL DEFAULT '{{}}'::jsonb
                CONSTRAINT events_details_check CHECK (jsonb_typeof(details) = 'object'),
            occurred_at timestamptz NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT now(),
            transaction_id bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
            position bigint GENERATED ALWAYS AS IDENTITY,
            CONSTRAINT events_pkey PRIMARY KEY (order_id, seq),
            CONSTRAINT events_transaction_id_position_key UNIQUE (transaction_id, position)
        )
    """)


def _create_returns() -> None:
    op.execute(f"""
        CREATE TABLE orders.returns (
            id uuid CONSTRAINT returns_pkey PRIMARY KEY,
            order_id uuid NOT NULL CONSTRAINT returns_order_id_fkey REFERENCES orders.orders (id),
            status text NOT NULL CONSTRAINT returns_status_check
                CHECK (status IN ({_RETURN_STATUSES})),
            include_shipping boolean NOT NULL,
            reason text,
            actor text NOT NULL,
            fingerprint text,
            amount_minor bigint,
            refund_code text,
            created_at timestamptz NOT NULL,
            updated_at timestamptz NOT NULL,
            CONSTRAINT returns_amount_check CHECK (
                CASE status WHEN 'refunded' THEN amount_minor >= 0 ELSE amount_minor IS NULL END
            )
        )
    """)
    op.execute("""
        CREATE TABLE orders.return_lines (
            return_id uuid CONSTRAINT return_lines_return_id_fkey REFERENCES orders.returns (id),
            position integer CONSTRAINT return_lines_position_check CHECK (position >= 1),
            line_id text NOT NULL,
            quantity integer NOT NULL CONSTRAINT return_lines_quantity_check CHECK (quantity >= 1),
            CONSTRAINT return_lines_pkey PRIMARY KEY (return_id, position),
            CONSTRAINT return_lines_return_id_line_id_key UNIQUE (return_id, line_id)
        )
    """)
    op.execute(
        "CREATE INDEX returns_order_id_created_at_idx ON orders.returns (order_id, created_at)"
    )
    op.execute(
        "CREATE INDEX returns_received_idx ON orders.returns (updated_at) WHERE status = 'received'"
    )


def _create_discrepancies() -> None:
    op.execute("""
        CREATE TABLE orders.discrepancies (
            order_id uuid CONSTRAINT discrepancies_order_id_fkey REFERENCES orders.orders (id),
            kind text CONSTRAINT discrepancies_kind_check CHECK (
                kind IN ('money_kept', 'parcel_of_cancelled_order', 'shipped_without_parcel')
            ),
            details jsonb NOT NULL DEFAULT '{}'::jsonb
                CONSTRAINT discrepancies_details_check CHECK (jsonb_typeof(details) = 'object'),
            first_seen_at timestamptz NOT NULL DEFAULT now(),
            last_seen_at timestamptz NOT NULL DEFAULT now(),
            resolved_at timestamptz,
            CONSTRAINT discrepancies_pkey PRIMARY KEY (order_id, kind)
        )
    """)
    op.execute(
        "CREATE INDEX discrepancies_open_idx ON orders.discrepancies (first_seen_at)"
        " WHERE resolved_at IS NULL"
    )


def _create_indexes() -> None:
    op.execute("CREATE INDEX orders_created_at_id_idx ON orders.orders (created_at, id)")
    op.execute(
        "CREATE INDEX orders_status_created_at_id_idx ON orders.orders (status, created_at, id)"
    )
    op.execute(
        "CREATE INDEX orders_customer_created_at_id_idx ON orders.orders (customer, created_at, id)"
    )
    op.execute(
        "CREATE INDEX orders_owner_created_at_id_idx ON orders.orders (owner, created_at, id)"
    )
    op.execute("CREATE INDEX orders_updated_at_id_idx ON orders.orders (updated_at, id)")
    op.execute(
        "CREATE INDEX orders_owner_updated_at_id_idx ON orders.orders (owner, updated_at, id)"
    )
    op.execute(
        "CREATE INDEX orders_reference_created_at_id_idx"
        " ON orders.orders (reference, created_at, id)"
    )
    op.execute(
        "CREATE INDEX orders_customer_prefix_idx"
        " ON orders.orders (lower(customer) text_pattern_ops)"
    )
    op.execute(
        "CREATE INDEX orders_workflow_failing_idx ON orders.orders (id)"
        " WHERE workflow_failing_since IS NOT NULL"
    )
    op.execute(
        "CREATE INDEX orders_needs_attention_idx ON orders.orders (created_at, id)"
        " WHERE needs_attention"
    )
    op.execute(
        "CREATE INDEX orders_open_after_shipment_idx ON orders.orders (id)"
        " WHERE tracking_deadline IS NOT NULL AND status = 'shipped'"
        " OR payment_status = 'refunding' AND status = 'returned'"
    )
    op.execute(
        "CREATE INDEX orders_ended_idx ON orders.orders (updated_at, id)"
        " WHERE status IN ('shipped', 'delivered', 'returned', 'completed', 'rejected',"
        " 'expired', 'payment_declined', 'cancelled')"
    )


def _create_views() -> None:
    op.execute("""
        CREATE VIEW orders.published_orders AS
        SELECT id AS order_id, status, payment_status, reason, customer, currency::text AS currency,
               total_minor, address, tracking_number, fingerprint, last_seq, created_at, updated_at,
               needs_attention, payment_method, payment_token, approval_deadline,
               tracking_deadline, workflow_missing_at, workflow_failing_since, owner,
               customer_email, customer_name, reference, metadata,
               total_minor + discount_minor - shipping_minor - tax_minor - fee_minor
                   AS subtotal_minor,
               discount_minor, shipping_minor, tax_minor, fee_minor,
               (SELECT coalesce(jsonb_agg(jsonb_build_object(
                           'line_id', line_id, 'sku', sku, 'name', name, 'quantity', quantity,
                           'unit_price_minor', unit_price_minor,
                           'discount_minor', order_lines.discount_minor,
                           'tax_minor', order_lines.tax_minor,
                           'requires_shipping', requires_shipping
                       ) ORDER BY position), '[]')
                FROM orders.order_lines WHERE order_lines.order_id = orders.id) AS lines,
               (SELECT coalesce(jsonb_agg(jsonb_build_object(
                           'kind', kind, 'label', label, 'amount_minor', amount_minor
                       ) ORDER BY position), '[]')
                FROM orders.order_adjustments WHERE order_adjustments.order_id = orders.id)
                   AS adjustments,
               billing_address, trace_id
        FROM orders.orders
    """)
    op.execute("""
        CREATE VIEW orders.published_events AS
        SELECT order_id, seq, type, status, payment_status, actor, details, occurred_at, recorded_at
        FROM orders.events
    """)
    # A transaction that is still open may commit an event before those of later transactions.
    op.execute("""
        CREATE VIEW orders.published_event_feed AS
        SELECT order_id, seq, events.type, events.status, events.payment_status, actor, details,
               occurred_at, recorded_at, transaction_id, position,
               owner
        FROM orders.events JOIN orders.orders ON orders.id = events.order_id
        WHERE transaction_id < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    """)
    op.execute("""
        CREATE VIEW orders.published_returns AS
        SELECT returns.id AS return_id, order_id, returns.status,
               (SELECT jsonb_agg(jsonb_build_object('line_id', line_id, 'quantity', quantity)
                                 ORDER BY position)
                FROM orders.return_lines WHERE return_lines.return_id = returns.id) AS lines,
               include_shipping, returns.reason, actor, returns.fingerprint, amount_minor,
               currency::text AS currency, refund_code, returns.created_at, returns.updated_at
        FROM orders.returns JOIN orders.orders ON orders.id = returns.order_id
    """)
    op.execute("""
        CREATE VIEW orders.published_discrepancies AS
        SELECT kind, order_id::text AS reference, order_id, first_seen_at AS occurred_at, details,
               first_seen_at, last_seen_at
        FROM orders.discrepancies WHERE resolved_at IS NULL
    """)
