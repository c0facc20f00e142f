"""Shipments: one an order."""

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
            state text NOT NULL
                CONSTRAINT shipments_state_check CHECK (state IN ('prepared', 'dispatched')),
            address jsonb NOT NULL
                CONSTRAINT shipments_address_check
                CHECK (jsonb_typeof(address -> 'zip_code') = 'string'),
            items jsonb NOT NULL
                CONSTRAINT shipments_items_check CHECK (jsonb_typeof(items) = 'array'),
            carrier text,
            tracking_number text CONSTRAINT shipments_tracking_number_key UNIQUE,
            prepared_at timestamptz NOT NULL,
            dispatched_at timestamptz,
            CONSTRAINT shipments_dispatched_check CHECK (
                (state = 'dispatched') = (tracking_number IS NOT NULL)
                AND (carrier IS NULL) = (tracking_number IS NULL)
                AND (dispatched_at IS NULL) = (tracking_number IS NULL)
            )
        )
    """)
    op.execute("GRANT SELECT, INSERT, UPDATE ON shipping.shipments TO fuze_shipping")
