"""A shipment can be called off or refused; its row decides who was first."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_STATES = "'prepared', 'dispatching', 'dispatched', 'rejected', 'cancelled'"


def upgrade() -> None:
    op.execute(f"""
        ALTER TABLE shipping.shipments
            ADD COLUMN dispatch_attempt integer NOT NULL DEFAULT 0,
            ADD COLUMN rejection_code text,
            ALTER COLUMN address DROP NOT NULL,
            ALTER COLUMN items DROP NOT NULL,
            DROP CONSTRAINT shipments_state_check,
            ADD CONSTRAINT shipments_state_check CHECK (state IN ({_STATES})),
            ADD CONSTRAINT shipments_refused_check
                CHECK ((state = 'rejected') = (rejection_code IS NOT NULL)),
            ADD CONSTRAINT shipments_prepared_check CHECK (
                state = 'cancelled' OR (address IS NOT NULL AND items IS NOT NULL)
            )
    """)
