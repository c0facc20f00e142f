"""How far a parcel has come."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE shipping.shipments
            ADD COLUMN delivery_status text,
            ADD CONSTRAINT shipments_parcel_state_check CHECK (
                delivery_status IS NULL OR (
                    state = 'dispatched'
                    AND delivery_status IN ('accepted', 'in_transit', 'delivered', 'returned')
                )
            )
    """)
