"""Create the shipments table."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE shipping.shipments (
            id uuid CONSTRAINT shipments_pkey PRIMARY KEY,
            order_id uuid NOT NULL CONSTRAINT shipments_order_id_key UNIQUE,
            request_number integer NOT NULL DEFAULT 0,
            state text NOT NULL CONSTRAINT shipments_state_check CHECK (
                state IN ('prepared', 'dispatching', 'dispatched', 'rejected', 'cancelled')
            ),
            dispatch_attempt integer NOT NULL DEFAULT 0,
            address jsonb CONSTRAINT shipments_address_check
                CHECK (jsonb_typeof(address -> 'country') = 'string'),
            items jsonb CONSTRAINT shipments_items_check CHECK (jsonb_typeof(items) = 'array'),
            carrier_reference text CONSTRAINT shipments_carrier_reference_key UNIQUE,
            carrier text,
            tracking_number text CONSTRAINT shipments_tracking_number_key UNIQUE,
            rejection_code text,
            delivery_status text,
            created_at timestamptz NOT NULL DEFAULT now(),
            dispatched_at timestamptz,
            submitted_at timestamptz,
            given_up_at timestamptz,
            CONSTRAINT shipments_requested_check CHECK (
                CASE state WHEN 'cancelled' THEN true WHEN 'prepared' THEN address IS NOT NULL
                ELSE num_nulls(address, items) = 0 END
            ),
            CONSTRAINT shipments_rejected_check
                CHECK ((state = 'rejected') = (rejection_code IS NOT NULL)),
            CONSTRAINT shipments_dispatched_check CHECK (
                (state = 'dispatched') = (tracking_number IS NOT NULL)
                AND (carrier IS NULL) = (tracking_number IS NULL)
                AND (dispatched_at IS NULL) = (tracking_number IS NULL)
            ),
            CONSTRAINT shipments_delivery_status_check CHECK (
                delivery_status IS NULL OR (
                    state = 'dispatched'
                    AND delivery_status IN ('accepted', 'in_transit', 'delivered', 'returned')
                )
            )
        )
    """)
    op.execute("GRANT SELECT, INSERT, UPDATE ON shipping.shipments TO fuze_shipping")
